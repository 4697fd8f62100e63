from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.inputs import Placement, prepare, scale, target
from velum_pipeline.detect.spec import ComponentSpec, DynamicInput, FixedInput

LETTERBOX = FixedInput(kind="fixed", width=320, height=320, fit="letterbox", colour="bgr", fill=114)
STRETCH = FixedInput(kind="fixed", width=640, height=320, fit="stretch", colour="rgb")
DYNAMIC = DynamicInput(kind="dynamic", min_side=960, max_upscale=2, max_side=1920, colour="bgr")
specs = st.sampled_from([LETTERBOX, STRETCH, DYNAMIC, DYNAMIC.model_copy(update={"fit": "stretch"})])


@pytest.mark.parametrize(
    ("spec", "size", "expected"),
    [
        (LETTERBOX, (640, 360), Placement((640, 360), (320, 320), (320, 180), (0, 70))),
        (LETTERBOX, (100, 200), Placement((100, 200), (320, 320), (160, 320), (80, 0))),
        (STRETCH, (100, 200), Placement((100, 200), (640, 320), (640, 320), (0, 0))),
        (DYNAMIC, (400, 267), Placement((400, 267), (800, 544), (800, 534), (0, 0))),  # twice, not up to 960
        (DYNAMIC, (800, 600), Placement((800, 600), (960, 736), (960, 720), (0, 0))),
        (DYNAMIC, (1280, 720), Placement((1280, 720), (1280, 736), (1280, 720), (0, 0))),
        (DYNAMIC, (3840, 2160), Placement((3840, 2160), (1920, 1088), (1920, 1080), (0, 0))),
        (DYNAMIC, (6000, 1), Placement((6000, 1), (1920, 32), (1920, 1), (0, 0))),
    ],
)
def test_target(spec: FixedInput | DynamicInput, size: tuple[int, int], expected: Placement) -> None:
    assert target(spec, *size) == expected


@given(specs, st.integers(1, 5000), st.integers(1, 5000))
def test_the_contents_corners_map_back_to_the_views(spec: FixedInput | DynamicInput, width: int, height: int) -> None:
    placement = target(spec, width, height)
    (x, y), (w, h) = placement.offset, placement.content
    back = Candidates.of(np.array([[x, y, x + w, y + h]]), np.array([1.0])).moved(*placement.back)
    np.testing.assert_allclose(back.boxes, [[0, 0, width, height]], atol=1e-2)
    assert x + w <= placement.canvas[0]
    assert y + h <= placement.canvas[1]


def test_pixels_become_numbers() -> None:
    spec = FixedInput(
        kind="fixed", width=16, height=32, fit="letterbox", colour="rgb", fill=7, mean=(1, 2, 3), std=(2, 4, 8)
    )
    picture = np.empty((16, 16, 3), np.uint8)
    picture[:] = (10, 20, 31)  # blue, green, red
    out = np.empty((3, 32, 16), np.float32)
    prepare(picture, target(spec, 16, 16), spec, out)
    np.testing.assert_allclose(out[:, 8:24].reshape(3, -1).T, np.broadcast_to([15, 4.5, 0.875], (256, 3)))
    np.testing.assert_allclose(out[:, :8].reshape(3, -1).T, np.broadcast_to([3, 1.25, 0.5], (128, 3)))


def test_bgr_stays_bgr() -> None:
    spec = DynamicInput(kind="dynamic", max_side=64, colour="bgr")
    picture = np.arange(32 * 32 * 3, dtype=np.uint32).reshape(32, 32, 3).astype(np.uint8)
    out = np.empty((3, 32, 32), np.float32)
    prepare(picture, target(spec, 32, 32), spec, out)
    np.testing.assert_array_equal(out, picture.transpose(2, 0, 1))


GOOD = {
    "name": "a",
    "file": "a.onnx",
    "licence": "MIT",
    "decoder": "yunet",
    "input": {"kind": "dynamic", "max_side": 640, "colour": "bgr"},
    "classes": {"face": {"threshold": 0.5}},
}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"decoder": "ssd"}, "decoder"),
        ({"classes": {"person": {"threshold": 0.5}}}, "does not find person"),
        ({"classes": {"dog": {"threshold": 0.5}}}, "classes.dog"),
        ({"classes": {}}, "classes"),
        ({"classes": {"face": {"threshold": 1.0}}}, "classes.face.threshold"),
        ({"input": {"kind": "dynamic", "max_side": 640, "min_side": 700, "colour": "bgr"}}, "min_side"),
        ({"input": {"kind": "dynamic", "max_side": 640, "colour": "hsv"}}, "colour"),
        ({"input": {"kind": "dynamic", "max_side": 640, "colour": "bgr", "std": [1, 0, 1]}}, "std"),
        ({"input": {"kind": "odd"}}, "input"),
        ({"thresold": 1}, "thresold"),
        ({"name": "A b"}, "name"),
    ],
)
def test_a_bad_component_names_the_field(change: dict[str, object], field: str) -> None:
    ComponentSpec.model_validate(GOOD)
    with pytest.raises(ValidationError, match=field):
        ComponentSpec.model_validate(GOOD | change)


def test_content_leaves_room_around_the_picture() -> None:
    spec = FixedInput(kind="fixed", width=320, height=320, fit="letterbox", content=160, colour="rgb")
    placed = target(spec, 640, 320)
    assert (placed.content, placed.offset, placed.back) == ((160, 80), (80, 120), ((4.0, 4.0), (-320.0, -480.0)))
    assert spec.longest == 160


@pytest.mark.parametrize("change", [{"fit": "stretch"}, {"content": 400}])
def test_content_that_does_not_fit(change: dict[str, object]) -> None:
    good = {"kind": "fixed", "width": 320, "height": 320, "fit": "letterbox", "content": 160, "colour": "rgb"}
    with pytest.raises(ValidationError, match="content"):
        FixedInput.model_validate(good | change)


@pytest.mark.parametrize(("longest", "taken"), [(100, False), (101, True), (640, True), (641, False)])
def test_which_views_are_taken(longest: int, *, taken: bool) -> None:
    spec = DynamicInput(kind="dynamic", max_side=64, colour="bgr", above=100, upto=640)
    assert spec.takes(longest, 50) is taken
    assert spec.takes(50, longest) is taken


def test_sizes_that_leave_nothing_to_tell_of() -> None:
    with pytest.raises(ValidationError, match="smallest must not exceed largest"):
        DynamicInput(kind="dynamic", max_side=64, colour="bgr", smallest=32, largest=31)


def test_the_scale_is_the_finest_that_a_view_is_seen_at() -> None:
    fixed = {"kind": "fixed", "width": 640, "height": 640, "fit": "letterbox", "colour": "bgr"}
    assert scale(FixedInput.model_validate(fixed), 1280, 720) == pytest.approx(0.5)
    split = fixed | {"split": {"windows": 2, "above": 640, "overlap": 0.2}}
    assert scale(FixedInput.model_validate(split), 1280, 700) == pytest.approx(640 / 712, rel=0.01)
    enlarging = DynamicInput(kind="dynamic", max_side=1280, min_side=1280, max_upscale=1.5, colour="bgr")
    assert scale(enlarging, 640, 480) == pytest.approx(1.5)
