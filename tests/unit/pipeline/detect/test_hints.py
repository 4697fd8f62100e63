"""Which windows are looked into, and that what is found there arrives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.hints import HOST_SCORE, MAX_ENLARGEMENT, MAX_HOSTS, windows
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window

SIDE = 320


def spec(inside: str = "vehicle", finds: str = "license-plate") -> ComponentSpec:
    decoder = {"license-plate": "yolov5face-plate", "face": "yunet"}[finds]
    return ComponentSpec.model_validate(
        {
            "name": "again",
            "file": "again.onnx",
            "licence": "none",
            "decoder": decoder,
            "input": {"kind": "fixed", "width": SIDE, "height": SIDE, "fit": "letterbox", "colour": "bgr"},
            "classes": {finds: {"threshold": 0.5}},
            "inside": inside,
        }
    )


def hosts(*rows: tuple[float, float, float, float, float]) -> Candidates:
    """Rows of a box and its score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Candidates.of(table[:, :4], table[:, 4])


def test_a_window_lies_around_its_host() -> None:
    (window,) = windows(hosts((400, 300, 500, 360, 0.9)), spec(), None, (1280, 720), 0.25)
    assert window == Window(385, 291, 130, 78)


def test_a_face_is_looked_for_at_the_upper_end_of_a_person() -> None:
    (window,) = windows(hosts((400, 100, 500, 500, 0.9)), spec("person", "face"), None, (1280, 720), 0.25)
    assert window.y < 100
    assert window.y + window.height < 250


def test_a_tiny_host_is_not_blown_up_beyond_use() -> None:
    (window,) = windows(hosts((600, 300, 606, 304, 0.9)), spec(), None, (1280, 720), 0.25)
    assert max(window.width, window.height) >= SIDE / MAX_ENLARGEMENT


def test_what_was_seen_large_is_not_looked_into() -> None:
    assert windows(hosts((100, 100, 700, 600, 0.9)), spec(), None, (1280, 720), 0.25) == []
    assert windows(hosts((100, 100, 200, 160, 0.9)), spec(), None, (1280, 720), 2.0) == []


def test_doubtful_hosts_count_and_hopeless_ones_do_not() -> None:
    rows = [(400, 300, 500, 360, HOST_SCORE), (700, 300, 800, 360, HOST_SCORE - 0.05)]
    assert [window.x for window in windows(hosts(*rows), spec(), None, (1280, 720), 0.25)] == [385]


def test_a_crowd_is_capped_and_the_certain_go_first() -> None:
    crowd = [(20.0 * i, 300, 20.0 * i + 16, 340, 0.3 + i / 1000) for i in range(60)]
    found = windows(hosts(*crowd), spec(), None, (1280, 720), 0.25)
    assert len(found) == MAX_HOSTS
    assert found[0].x > found[-1].x


def test_a_window_goes_around_the_seam() -> None:
    (window,) = windows(hosts((990, 100, 1040, 140, 0.9)), spec(), 1000, (1000, 500), 0.25)
    assert window.x < 1000 < window.x + window.width
    (window,) = windows(hosts((-30, 100, 20, 140, 0.9)), spec(), 1000, (1000, 500), 0.25)
    assert 0 <= window.x < 1000 < window.x + window.width


@given(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(0.1, 400), st.floats(0.1, 400)),
    st.sampled_from([None, 640]),
    st.sampled_from(["vehicle", "person"]),
)
def test_windows_stay_in_the_picture(place: tuple[float, float, float, float], period: int | None, inside: str) -> None:
    x, y, width, height = place
    finds = "face" if inside == "person" else "license-plate"
    for window in windows(hosts((x, y, x + width, y + height, 0.9)), spec(inside, finds), period, (640, 480), 0.01):
        assert window.width > 0
        assert window.height > 0
        assert 0 <= window.y <= window.y + window.height <= 480
        assert 0 <= window.x < 640
        assert window.x + window.width <= (640 if period is None else 1280)


def test_a_component_does_not_look_inside_what_it_finds() -> None:
    with pytest.raises(ValueError, match="looks inside face"):
        ComponentSpec.model_validate(spec("person", "face").model_dump() | {"inside": "face"})
