"""Where anonymization happens: full over the object, nothing beyond the gradient, nothing inside ignores."""

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline import regions
from velum_pipeline.detections import Detections, Mask, as_classes
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options
from velum_pipeline.regions.build import BOX_MARGIN, FACE_MARGIN

WIDTH, HEIGHT = 120, 90
COORDINATE = st.floats(-60, 180, width=32)
SIDE = st.floats(0.125, 200, width=32)
IGNORES = st.lists(
    st.builds(Ignore, st.integers(0, 130), st.integers(0, 100), st.integers(0, 80), st.integers(0, 80)), max_size=3
)


def wish(start: float = 0.3, stop: float = 0.0, **fields: Any) -> Options:
    classes = {name: ClassOptions(0.0, ClassOptions.default(name).kernel, start, stop) for name in ObjectClass}
    return Options(Method.BLUR, classes, **fields)


def strength(detections: Detections, options: Options, row: int = 0) -> np.ndarray[Any, Any]:
    """The strength of one region over the whole picture."""
    full = np.zeros((HEIGHT, WIDTH), np.uint8)
    region = regions.build(detections, options, WIDTH, HEIGHT)[row]
    if region is not None:
        full[region.rows, region.columns] = region.strength
    return full


def one(name: str, box: tuple[float, float, float, float], **fields: Any) -> Detections:
    return Detections(np.array([box], np.float32), np.ones(1, np.float32), as_classes([name]), **fields)


def touched(box: np.ndarray[Any, Any]) -> tuple[slice, slice]:
    """The pixels of the picture that a box has a share in, as [rows, columns]."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return slice(max(math.floor(y1), 0), math.ceil(y2)), slice(max(math.floor(x1), 0), math.ceil(x2))


@given(
    st.sampled_from(list(ObjectClass)),
    COORDINATE,
    COORDINATE,
    SIDE,
    SIDE,
    st.floats(0, 1),
    st.floats(0, 0.5),
    st.booleans(),
    IGNORES,
)
def test_the_box_is_full_its_surroundings_are_not_and_ignores_are_empty(
    name: ObjectClass,
    x: float,
    y: float,
    w: float,
    h: float,
    extra: float,
    stop: float,
    bbox: bool,
    ignores: list[Ignore],
) -> None:
    found = one(name, (x, y, x + w, y + h)).clipped(WIDTH, HEIGHT)
    if not len(found):
        return
    box = found.boxes[0]
    full = strength(found, wish(stop + extra, stop, bbox=bbox, ignores=tuple(ignores)))
    spared = np.zeros(full.shape, bool)
    for ignore in ignores:
        spared[ignore.y : ignore.y + ignore.height, ignore.x : ignore.x + ignore.width] = True
    inside = np.zeros(full.shape, bool)
    inside[touched(box)] = True
    assert (full[inside & ~spared] == 255).all()
    assert (full[spared] == 0).all()
    reach = stop + extra if name.relative_kernel else 0.0
    reach += BOX_MARGIN if name is ObjectClass.LICENSE_PLATE else 0.0
    reach = max(reach, FACE_MARGIN) if name is ObjectClass.FACE else reach
    pad_x, pad_y = (max(box[2] - box[0], 1) * reach / 2 + 1, max(box[3] - box[1], 1) * reach / 2 + 1)
    beyond = np.ones(full.shape, bool)
    beyond[touched(box + np.array([-pad_x, -pad_y, pad_x, pad_y]))] = False
    assert (full[beyond] == 0).all()


@given(COORDINATE, COORDINATE, SIDE, SIDE, st.floats(0.01, 1), st.floats(0, 0.5))
def test_strength_never_rises_outwards(x: float, y: float, w: float, h: float, extra: float, stop: float) -> None:
    found = one("face", (x, y, x + w, y + h)).clipped(WIDTH, HEIGHT)
    if not len(found):
        return
    full = strength(found, wish(stop + extra, stop)).astype(int)
    centre_x = min(max(int((found.boxes[0][0] + found.boxes[0][2]) / 2), 0), WIDTH - 1)
    centre_y = min(max(int((found.boxes[0][1] + found.boxes[0][3]) / 2), 0), HEIGHT - 1)
    assert (np.diff(full[:, centre_x:], axis=1) <= 0).all()
    assert (np.diff(full[:, : centre_x + 1], axis=1) >= 0).all()
    assert (np.diff(full[centre_y:], axis=0) <= 0).all()


def test_the_gradient_is_linear_between_stop_and_start() -> None:
    full = strength(one("license-plate", (40, 30, 80, 60)), wish(1.0, 0.2))
    # To the right of the box (half width 20): pixel 80 + k begins at growth k / 20, of which the margin is free.
    expected = [min(1.0, (1.0 - k / 20 + BOX_MARGIN) / 0.8) * 255 for k in range(22)]
    assert np.abs(full[45, 80:102] - np.array(expected)).max() <= 1
    assert full[45, 102:].max() == 0
    assert full[45, 20] == full[45, 99]


def test_no_gradient_is_a_hard_edge_about_a_face_and_its_margin() -> None:
    """Half sides of 20 and 15 pixels and a fifth of them: 4 and 3 pixels on every side."""
    full = strength(one("face", (40, 30, 80, 60)), wish(0.0, 0.0, bbox=True))
    assert set(np.unique(full)) == {0, 255}
    assert (full[27:63, 36:84] == 255).all()
    assert full.sum() == 255 * 48 * 36


@pytest.mark.parametrize("bbox", [False, True])
def test_no_gradient_starts_inside_a_faces_margin(bbox: bool) -> None:
    full = strength(one("face", (40, 30, 80, 60)), wish(0.3, 0.0, bbox=bbox))
    assert (full[45, 36:84] == 255).all()
    assert (full[27:63, 60] == 255).all()
    assert 0 < full[45, 85] < 255
    assert full[45, 86] == 0


@pytest.mark.parametrize("bbox", [False, True])
def test_the_box_of_a_plate_has_a_margin(bbox: bool) -> None:
    """Its half sides are 20 and 15 pixels; a tenth of them, in whole pixels, is full too."""
    full = strength(one("license-plate", (40, 30, 80, 60)), wish(0.0, 0.0, bbox=bbox))
    assert (full[28:62, 38:82] == 255).all()
    assert full.sum() <= 255 * 44 * 34


def test_a_face_is_rounded_and_a_boxed_face_is_not() -> None:
    face = one("face", (40, 30, 80, 60))
    rounded, boxed = strength(face, wish(0.5)), strength(face, wish(0.5, bbox=True))
    assert (rounded <= boxed).all()
    corner = (slice(23, 25), slice(30, 32))
    assert rounded[corner].max() == 0
    assert boxed[corner].min() > 0
    assert np.array_equal(rounded[45], boxed[45])
    assert np.array_equal(rounded[:, 60], boxed[:, 60])


def test_persons_and_vehicles_end_at_their_outline() -> None:
    for name in ("person", "vehicle"):
        assert strength(one(name, (10, 10, 30, 40)), wish(1.0, 0.5)).sum() == 255 * 20 * 30


def test_a_plate_follows_its_corners() -> None:
    corners = np.array([[[30, 40], [90, 20], [92, 34], [32, 54]]], np.float32)
    box = (30, 20, 92, 54)
    full = strength(one("license-plate", box, corners=corners), wish(0.2))
    quad = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), np.rint(corners[0]).astype(np.int32), 1)
    assert (full[quad > 0] == 255).all()
    assert full[22, 32] == 0
    assert full[52, 90] == 0
    assert (full > 0).sum() < 0.8 * (strength(one("license-plate", box), wish(0.2)) > 0).sum()
    assert np.array_equal(
        strength(one("license-plate", box, corners=corners), wish(bbox=True)),
        strength(one("license-plate", box), wish()),
    )


@pytest.mark.parametrize(
    "corners",
    [
        np.full((4, 2), np.nan),
        np.zeros((4, 2)),
        np.array([[30, 20], [90, 20], [30, 50], [90, 50]]),  # crossed
        np.array([[30, 20], [30, 50], [90, 50], [90, 20]]),  # counter-clockwise
        np.array([[30, 20], [50, 20], [50, 30], [30, 30]]),  # far smaller than the box
        np.array([[0, 0], [119, 0], [119, 89], [0, 89]]),  # far larger
        np.array([[30, 20], [90, 20], [32, 22], [30, 50]]),  # not convex
        np.array([[1e30, 0], [2e30, 0], [2e30, 1e30], [1e30, 1e30]]),
    ],
)
def test_absurd_corners_fall_back_to_the_box(corners: np.ndarray[Any, Any]) -> None:
    found = one("license-plate", (30, 20, 90, 50), corners=corners[None].astype(np.float32))
    assert np.array_equal(strength(found, wish()), strength(one("license-plate", (30, 20, 90, 50)), wish()))


@pytest.mark.parametrize(
    "corners",
    [
        [[30, 20], [90, 50], [90, 50.5], [30, 20.5]],  # a sliver
        [[30, 20], [90, 32], [90, 38], [30, 50]],  # a wedge
        [[30, 38], [90, 20], [90, 50], [30, 44]],  # the other way round
        [[30, 20], [90, 41], [90, 50], [30, 29]],  # too thin for its length
        [[27, 25], [92, 19], [92, 30], [28, 53]],  # a wedge that sticks out
    ],
)
def test_doubtful_corners_add_to_the_box_and_take_nothing_from_it(corners: list[list[float]]) -> None:
    points = np.array([corners], np.float32)
    full = strength(one("license-plate", (30, 20, 90, 50), corners=points), wish())
    boxed = strength(one("license-plate", (30, 20, 90, 50)), wish())
    assert (full >= boxed).all()
    assert (full[20:50, 30:90] == 255).all()
    quad = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), np.rint(points[0]).astype(np.int32), 1)
    assert (full[quad > 0] > 200).all()


@pytest.mark.parametrize("angle", [0, 5, 10, 15, -15, 90, 75])
def test_a_turned_plate_is_followed(angle: float) -> None:
    """A European plate, 4.7 times as wide as high, turned in the plane of the picture."""
    turn = np.deg2rad(angle)
    half = np.array([[-33, -7], [33, -7], [33, 7], [-33, 7]], float)
    corners = half @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) + (60, 45)
    box = tuple(float(value) for value in (*corners.min(axis=0), *corners.max(axis=0)))
    full = strength(one("license-plate", box, corners=corners[None].astype(np.float32)), wish(0.0))
    quad = cv2.fillConvexPoly(np.zeros((HEIGHT, WIDTH), np.uint8), np.rint(corners).astype(np.int32), 1)
    inner = cv2.erode(quad, np.ones((3, 3), np.uint8))  # the polygon is drawn with pixels that it only touches
    assert (full[inner > 0] == 255).all()
    assert (full > 0).sum() < 1.6 * (quad > 0).sum()


@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=4, max_size=4))
def test_no_corners_uncover_the_centre_of_a_plate(points: list[tuple[float, float]]) -> None:
    corners = np.array([points], np.float32)
    full = strength(one("license-plate", (30, 20, 90, 50), corners=corners), wish())
    assert full[35, 60] == 255


def test_corners_count_only_for_plates() -> None:
    corners = np.array([[[30, 40], [90, 20], [92, 34], [32, 54]]], np.float32)
    for name in ("face", "person"):
        plain = one(name, (30, 20, 92, 54))
        assert np.array_equal(strength(plain, wish()), strength(one(name, (30, 20, 92, 54), corners=corners), wish()))


@given(
    st.integers(-20, 120),
    st.integers(-20, 100),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
)
def test_a_segment_is_covered_wherever_it_lies(x: int, y: int, w: int, h: int, seed: int) -> None:
    bits = np.random.default_rng(seed).random((h, w)) < 0.6
    mask = Mask(x, y, bits)
    found = one("person", (x, y, x + w, y + h), masks=(mask,)).clipped(WIDTH, HEIGHT)
    if not len(found) or not mask.plausible(found.boxes[0]) or not mask.reaches(found.boxes[0]):
        return
    full = strength(found, wish())
    expected = np.zeros((HEIGHT + 400, WIDTH + 400), bool)
    expected[200 + y : 200 + y + h, 200 + x : 200 + x + w] = bits
    expected = _filled(expected[200 : 200 + HEIGHT, 200 : 200 + WIDTH])
    assert (full[expected] == 255).all()
    assert set(np.unique(full)) <= {0, 255}
    margin = max(1, math.ceil(0.02 * max(w, h)))
    near = cv2.dilate(expected.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8))
    outside_mask_border = near.astype(bool) | _border(margin)
    assert (full[~outside_mask_border] == 0).all()


def _filled(bits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """With what no path of side by side pixels connects to the outside."""
    _, labels = cv2.connectedComponents(np.pad(~bits, 1, constant_values=True).astype(np.uint8), connectivity=4)
    return np.asarray(labels[1:-1, 1:-1] != labels[0, 0])


def _border(margin: int) -> np.ndarray[Any, Any]:
    """Pixels that a segment beyond the picture's edge may reach when it is widened."""
    border = np.ones((HEIGHT, WIDTH), bool)
    border[margin:-margin, margin:-margin] = False
    return border


@pytest.mark.parametrize(
    ("x", "y", "width", "height"),
    [
        (10, 10, 0, 0),
        (12, 12, 14, 10),  # 140 of 600 pixels, just below a quarter
        (60, 40, 20, 30),  # as large as the box, somewhere else
    ],
)
def test_a_segment_too_small_for_its_box_is_a_failed_one_and_the_box_is_used(
    x: int, y: int, width: int, height: int
) -> None:
    loose = np.zeros((50, 40), bool)
    loose[:height, :width] = True
    for bits in (loose, np.ones((height, width), bool)):
        found = one("person", (10, 10, 30, 40), masks=(Mask(x, y, bits),))
        full = strength(found, wish())
        assert full.sum() == 255 * 20 * 30
        assert (full[10:40, 10:30] == 255).all()


def test_a_segment_that_fills_enough_of_its_box_is_used() -> None:
    found = one("person", (10, 10, 30, 40), masks=(Mask(14, 15, np.ones((20, 12), bool)),))
    full = strength(found, wish())
    assert (full[15:35, 14:26] == 255).all()
    assert (full > 0).sum() <= 22 * 14


@pytest.mark.parametrize(
    "part",
    [
        Mask(10, 24, np.ones((16, 20), bool)),  # legs
        Mask(10, 10, np.ones((16, 20), bool)),  # no legs
        Mask(18, 10, np.ones((30, 12), bool)),
        Mask(10, 10, np.ones((30, 12), bool)),
    ],
)
def test_a_segment_that_leaves_a_part_of_its_box_empty_is_a_failed_one(part: Mask) -> None:
    """Most of the box's pixels, but nothing on one of its sides: the object went on there."""
    full = strength(one("person", (10, 10, 30, 40), masks=(part,)), wish())
    assert (full[10:40, 10:30] == 255).all()


def test_a_hole_in_a_segment_is_hidden_too() -> None:
    bits = np.ones((30, 20), bool)
    bits[3:12, 6:14] = False
    full = strength(one("person", (10, 10, 30, 40), masks=(Mask(10, 10, bits),)), wish())
    assert (full[10:40, 10:30] == 255).all()


def test_a_segment_may_reach_over_its_box() -> None:
    """Two networks' pieces of one object: the box is the better network's, the segment both's."""
    found = one("vehicle", (10, 10, 30, 40), masks=(Mask(10, 10, np.ones((30, 40), bool)),))
    assert (strength(found, wish())[10:40, 10:50] == 255).all()


def test_bbox_overrides_segments() -> None:
    mask = Mask(10, 10, np.tri(30, 20, dtype=bool))
    found = one("person", (10, 10, 30, 40), masks=(mask,))
    assert strength(found, wish(bbox=True)).sum() == 255 * 20 * 30
    assert strength(found, wish()).sum() < 255 * 20 * 30


@pytest.mark.parametrize("name", ["face", "license-plate"])
def test_faces_and_plates_keep_their_shapes_whatever_a_network_drew(name: str) -> None:
    mask = Mask(40, 30, np.tri(30, 40, dtype=bool))
    drawn = one(name, (40, 30, 80, 60), masks=(mask,))
    assert np.array_equal(strength(drawn, wish()), strength(one(name, (40, 30, 80, 60)), wish()))


def test_ignores_are_cut_out_of_segments() -> None:
    mask = Mask(10, 10, np.ones((30, 20), bool))
    full = strength(one("person", (10, 10, 30, 40), masks=(mask,)), wish(ignores=(Ignore(15, 20, 40, 6),)))
    assert (full[20:26, 15:55] == 0).all()
    assert (full[10:20, 10:30] == 255).all()
    assert (full[26:40, 10:30] == 255).all()


@pytest.mark.parametrize("side", [20, 60, 400])
def test_a_segment_is_widened_by_its_margin_on_every_side(side: int) -> None:
    """By two hundredths of the longer side, at least a pixel, and no corner by more than a diagonal of it."""
    margin = max(1, math.ceil(0.02 * side))
    bits = np.ones((side, side), bool)
    found = one("vehicle", (50, 50, 50 + side, 50 + side), masks=(Mask(50, 50, bits),))
    (region,) = regions.build(found, wish(), 600, 600)
    assert region is not None
    full = np.zeros((600, 600), np.uint8)
    full[region.rows, region.columns] = region.strength
    middle = 50 + side // 2
    assert np.flatnonzero(full[middle]).tolist() == list(range(50 - margin, 50 + side + margin))
    assert np.flatnonzero(full[:, middle]).tolist() == list(range(50 - margin, 50 + side + margin))
    rows, columns = np.nonzero(full)
    beyond = np.hypot(np.maximum(50 - rows, 0), np.maximum(50 - columns, 0))
    assert beyond.max() <= margin * 1.05 + 0.5


def test_what_ignores_cover_is_no_region() -> None:
    found = one("person", (10, 10, 30, 40))
    assert regions.build(found, wish(ignores=(Ignore(0, 0, 60, 60),)), WIDTH, HEIGHT) == [None]


def test_a_picture_of_one_pixel() -> None:
    for name in ObjectClass:
        (region,) = regions.build(one(name, (0, 0, 1, 1)), wish(), 1, 1)
        assert region is not None
        assert region.strength.tolist() == [[255]]


@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.tuples(COORDINATE, COORDINATE, SIDE, SIDE), max_size=5))
def test_regions_lie_in_the_picture(width: int, height: int, boxes: list[tuple[float, ...]]) -> None:
    rows = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)
    found = Detections(rows, np.ones(len(rows)), as_classes(["face"] * len(rows))).clipped(width, height)
    for row, region in enumerate(regions.build(found, wish(), width, height)):
        assert region is not None
        assert region.detection == row
        assert 0 <= region.x < region.columns.stop <= width
        assert 0 <= region.y < region.rows.stop <= height


def test_build_keeps_order_and_classes(options: Callable[..., Options], found: Callable[..., Detections]) -> None:
    built = regions.build(found(("face", 1, 1, 9, 9), ("vehicle", 5, 5, 50, 50)), options(), WIDTH, HEIGHT)
    assert [region and region.object_class for region in built] == ["face", "vehicle"]
