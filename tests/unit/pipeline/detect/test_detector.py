"""The whole way from pictures to Detections, over networks whose answers are known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.brightdetector import (
    CORNERS,
    DYNAMIC,
    FACE,
    FACE_SIDE,
    PLATE,
    PLATE_ROW,
    Constant,
    boxes,
    component,
    options,
    picture,
    plates,
)
from velum_pipeline.detect import ClassNotFound, DetectionFailed, Detector
from velum_pipeline.options import Tiling


@pytest.fixture(scope="session")
def bright(bright_model: bytes) -> Detector:
    return Detector([component(bright_model)])


def test_the_box_is_where_the_light_is(bright: Detector) -> None:
    assert boxes(bright, picture(128, 96, (40, 20)), options()) == [[38, 18, 54, 34]]


def test_no_objects_is_an_answer(bright: Detector) -> None:
    (found,) = bright.detect([picture(64, 64)], options())
    assert len(found) == 0
    assert bright.detect([], options()) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_tiny_pictures(bright: Detector, size: tuple[int, int]) -> None:
    assert boxes(bright, picture(*size), options()) == []


def test_boxes_are_clipped_to_the_picture(bright: Detector) -> None:
    assert boxes(bright, picture(64, 64, (-4, 56)), options()) == [[0, 54, 10, 64]]


def test_order_is_by_class_then_score(bright_model: bytes) -> None:
    pixels = picture(256, 64, (40, 20), (100, 20), (160, 20))
    pixels[:, 96:128] = pixels[:, 96:128] // 4 * 3
    (found,) = Detector([component(bright_model)]).detect([pixels], options(threshold=0.3))
    np.testing.assert_allclose(found.scores, [1, 1, 63 * 3 / 255], atol=5e-3)
    np.testing.assert_allclose(found.boxes[:, 0], [38, 158, 98])


def test_thresholds_are_in_contract_scores(bright_model: bytes) -> None:
    detector = Detector([component(bright_model, classes={"face": {"threshold": 0.2}})])
    pixels = picture(64, 64, (20, 20)) // 5 * 2  # native .4, odds 2/3, times 4: contract 8/11
    assert len(detector.detect([pixels], options(threshold=0.72))[0]) == 1
    assert len(detector.detect([pixels], options(threshold=0.73))[0]) == 0


def test_pictures_of_different_sizes_keep_their_order(bright: Detector) -> None:
    pictures = [picture(64, 64, (20, 20)), picture(128, 64), picture(64, 64, (32, 32)), picture(128, 64, (80, 8))]
    found = bright.detect(pictures, options())
    assert [one.boxes.round(2).tolist() for one in found] == [
        [[18, 18, 34, 34]],
        [],
        [[30, 30, 46, 46]],
        [[78, 6, 94, 22]],
    ]


def test_plates_bring_their_corners_into_the_picture(constant: Constant, bright_model: bytes) -> None:
    detector = Detector([component(bright_model), plates(constant, PLATE_ROW)])
    (found,) = detector.detect([picture(128, 192, (4, 4))], options(PLATE, FACE))
    assert found.classes.tolist() == [FACE, PLATE]
    assert found.corners is not None
    assert np.isnan(found.corners[0]).all()
    np.testing.assert_allclose(found.corners[1], np.reshape(CORNERS, (4, 2)) * [2, 3])
    np.testing.assert_allclose(found.boxes[1], [48, 84, 80, 108])


def test_an_ensemble_tells_one_object_once(bright_model: bytes) -> None:
    twice = Detector([component(bright_model), component(bright_model, classes={"face": {"threshold": 0.1}})])
    (found,) = twice.detect([picture(128, 96, (40, 20), (80, 60))], options())
    assert len(found) == 2


def test_a_split_component_tells_one_object_once(bright_model: bytes) -> None:
    split = DYNAMIC | {"split": {"windows": 3, "above": 100, "overlap": 0.25, "whole": True}}
    pixels = picture(320, 64, *((x, 20) for x in range(0, 300, 40)))
    whole = boxes(Detector([component(bright_model)]), pixels, options())
    assert boxes(Detector([component(bright_model, input=split)]), pixels, options()) == whole


def test_a_class_that_nobody_finds(bright: Detector) -> None:
    with pytest.raises(ClassNotFound, match=r"license-plate.*velum models list") as caught:
        bright.detect([picture(64, 64)], options(FACE, PLATE))
    assert caught.value.missing == (PLATE,)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.uint16),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_what_is_no_picture(bright: Detector, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(DetectionFailed, match="picture 1"):
        bright.detect([picture(64, 64), pixels], options())


def test_bad_numbers_are_dropped_and_counted(constant: Constant) -> None:
    broken = [np.nan, *PLATE_ROW[1:]]
    detector = Detector([plates(constant, PLATE_ROW, broken)])
    (found,) = detector.detect([picture(64, 64)], options(PLATE))
    assert len(found) == 1
    assert detector.non_finite == 1


def test_a_network_of_nothing_but_nan_gives_no_answer(constant: Constant) -> None:
    with pytest.raises(DetectionFailed, match="no finite number"):
        Detector([plates(constant, [np.nan] * 15)]).detect([picture(64, 64)], options(PLATE))


places = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 5)).map(lambda p: (p[0] * 40 + 8, p[1] * 40 + 8)),
    max_size=10,
    unique=True,
)
tilings = st.builds(
    Tiling,
    mode=st.just("grid"),
    columns=st.integers(1, 4),
    rows=st.integers(1, 4),
    overlap_x=st.sampled_from([0, 16, 48, 120]),
    overlap_y=st.sampled_from([0, 16, 48, 120]),
)


@settings(max_examples=40, deadline=None)
@given(faces=places, tiling=tilings)
def test_tiles_find_each_object_once(bright: Detector, faces: list[tuple[int, int]], tiling: Tiling) -> None:
    """Wherever the borders fall, also through an object: one box each, and each box covers its object."""
    found = boxes(bright, picture(480, 240, *faces), options(tiling=tiling))
    assert len(found) == len(faces)
    for (x1, y1, x2, y2), (x, y) in zip(found, sorted((x - 2, y - 2) for x, y in faces), strict=True):
        assert x1 <= x + 0.1
        assert y1 <= y + 0.1
        assert x2 >= x + FACE_SIDE - 0.1
        assert y2 >= y + FACE_SIDE - 0.1


@settings(max_examples=60, deadline=None)
@given(column=st.integers(0, 109), row=st.integers(2, 50))
def test_a_panorama_has_no_seam(bright: Detector, column: int, row: int) -> None:
    """A face anywhere around the cylinder is found once: one box, or one at each edge if it lies on the seam."""
    width, half = 440, FACE_SIDE / 2
    pixels = np.zeros((220, width, 3), np.uint8)
    pixels[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 255
    left, right = column * 4 + 2 - half, column * 4 + 2 + half
    spans = [(left, right)]
    if left < 0:
        spans = [(0, right), (width + left, width)]
    elif right > width:
        spans = [(0, right - width), (left, width)]
    expected = [[x1, row * 4 + 2 - half, x2, row * 4 + 2 + half] for x1, x2 in spans]
    assert boxes(bright, pixels, options(tiling=Tiling("pano", pano_width=4096))) == expected


def test_threads_get_the_same_answer(bright: Detector) -> None:
    pictures = [picture(200, 120, (8 + 8 * i, 40)) for i in range(16)]
    alone = [boxes(bright, pixels, options()) for pixels in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pixels: boxes(bright, pixels, options()), pictures)) == alone


def test_a_score_does_not_change_with_the_threshold(bright_model: bytes) -> None:
    twice = Detector([component(bright_model), component(bright_model, classes={"face": {"threshold": 0.3}})])
    pixels = picture(128, 96, (40, 20)) // 5 * 3
    scores = [twice.detect([pixels], options(threshold=t))[0].scores for t in (0.2, 0.5, 0.7)]
    assert [len(one) for one in scores] == [1, 1, 1]
    assert scores[0] == scores[1] == scores[2]
