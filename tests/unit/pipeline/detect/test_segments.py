"""What becomes of outlines when windows and networks are merged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.merge import merge, opened
from velum_pipeline.detect.segments import Piece, Segment, as_segments, drawn
from velum_pipeline.detections import Mask

WIDTH, HEIGHT = 200, 100
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Shape:
    """An outline that is these pixels [x1, y1, x2, y2) of the picture."""

    x1: int
    y1: int
    x2: int
    y2: int

    def settled(self, box: NDArray[np.float32]) -> Shape:
        return self

    def bits(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
        rows, columns = np.mgrid[y1:y2, x1:x2]
        return (columns >= self.x1) & (columns < self.x2) & (rows >= self.y1) & (rows < self.y2)


def piece(box: Box, shape: Shape | None, source: str = "seg") -> Piece:
    return Piece(np.array(box, np.float32), source if shape else "", shape)


def candidates(*rows: tuple[Box, float, str, Shape | None]) -> Candidates:
    """Boxes with a score, the sides that are cut (of LTRB), and an outline of the network ``seg`` or none."""
    cut = np.array([[side in sides for side in "LTRB"] for _, _, sides, _ in rows])
    boxes = np.array([row[0] for row in rows], np.float32)
    scores = np.array([row[1] for row in rows], np.float32)
    plain = Candidates.of(boxes, scores, cut=cut)
    segments = as_segments((piece(box, shape),) if shape else None for box, _, _, shape in rows)
    return Candidates(plain.boxes, plain.scores, plain.corners, plain.cut, plain.joined, segments)


def picture(mask: Mask | None) -> NDArray[np.bool_]:
    assert mask is not None
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
    return full


def pixels(*boxes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    full = np.zeros((HEIGHT, WIDTH), bool)
    for x1, y1, x2, y2 in boxes:
        full[y1:y2, x1:x2] = True
    return full


def only(found: Candidates) -> Segment | None:
    assert len(found) == 1
    assert found.segments is not None
    segment: Segment | None = found.segments[0]
    return segment


def test_an_outline_ends_at_its_box() -> None:
    mask = drawn((piece((10.4, 20, 50, 60), Shape(0, 0, 200, 40)),), WIDTH, HEIGHT)
    np.testing.assert_array_equal(picture(mask), pixels((10, 20, 50, 40)))


def test_nothing_to_draw_is_no_mask() -> None:
    assert drawn(None, WIDTH, HEIGHT) is None
    assert drawn((piece((10, 20, 50, 60), None),), WIDTH, HEIGHT) is None
    assert drawn((piece((300, 20, 350, 60), Shape(300, 20, 350, 60)),), WIDTH, HEIGHT) is None


@pytest.mark.parametrize("shape", [Shape(0, 0, 0, 0), Shape(10, 20, 29, 40)])
def test_an_outline_too_small_for_its_box_is_none(shape: Shape) -> None:
    assert drawn((piece((10, 20, 50, 60), shape),), WIDTH, HEIGHT) is None


def test_a_duplicate_of_the_same_network_adds_nothing() -> None:
    found = merge(
        candidates(
            ((10, 10, 50, 50), 0.9, "", Shape(10, 10, 30, 50)),
            ((12, 10, 52, 50), 0.8, "", Shape(30, 10, 52, 50)),
        ),
        0.5,
    )
    np.testing.assert_array_equal(picture(drawn(only(found), WIDTH, HEIGHT)), pixels((10, 10, 30, 50)))


def test_two_parts_of_a_cut_object_are_one_with_both_outlines() -> None:
    found = merge(
        candidates(
            ((10, 10, 100, 50), 0.9, "R", Shape(10, 20, 100, 40)),
            ((80, 10, 150, 50), 0.8, "L", Shape(80, 15, 150, 40)),
        ),
        0.5,
    )
    np.testing.assert_allclose(found.boxes, [[10, 10, 150, 50]])
    expected = pixels((10, 20, 100, 40), (80, 15, 150, 40))
    np.testing.assert_array_equal(picture(drawn(only(found), WIDTH, HEIGHT)), expected)


def test_the_other_half_keeps_its_outline_where_a_better_box_shows_one_half() -> None:
    found = merge(
        candidates(
            ((10, 10, 80, 50), 0.95, "", Shape(10, 20, 80, 40)),
            ((10, 10, 80, 50), 0.9, "R", Shape(10, 20, 80, 40)),
            ((80, 10, 140, 50), 0.8, "L", Shape(80, 15, 140, 40)),
        ),
        0.5,
    )
    np.testing.assert_allclose(found.boxes, [[10, 10, 140, 50]])
    expected = pixels((10, 20, 80, 40), (80, 15, 140, 40))
    np.testing.assert_array_equal(picture(drawn(only(found), WIDTH, HEIGHT)), expected)


def test_a_part_whose_outline_failed_is_hidden_as_a_box() -> None:
    found = merge(
        candidates(
            ((10, 10, 100, 50), 0.9, "R", Shape(10, 20, 100, 40)),
            ((80, 10, 150, 50), 0.8, "L", Shape(0, 0, 0, 0)),
        ),
        0.5,
    )
    expected = pixels((10, 20, 100, 40), (100, 10, 150, 50))
    np.testing.assert_array_equal(picture(drawn(only(found), WIDTH, HEIGHT)), expected)


@pytest.mark.parametrize("scores", [(0.9, 0.8), (0.8, 0.9)], ids=["mask better", "box better"])
def test_another_networks_box_adds_what_lies_beyond_the_masks_own(scores: tuple[float, float]) -> None:
    """Whichever is the better: inside its box the outline decides, beyond it the other box is all that is known."""
    found = merge(
        candidates(
            ((20, 10, 60, 50), scores[0], "", Shape(20, 20, 60, 40)),
            ((24, 6, 66, 50), scores[1], "", None),
        ),
        0.5,
    )
    expected = pixels((24, 6, 66, 50))
    expected[10:50, 20:60] = False
    expected |= pixels((20, 20, 60, 40))
    np.testing.assert_array_equal(picture(drawn(only(found), WIDTH, HEIGHT)), expected)


def test_two_networks_outlines_are_both_hidden() -> None:
    rows = candidates(
        ((20, 10, 60, 50), 0.9, "", Shape(20, 20, 60, 40)), ((24, 10, 60, 50), 0.8, "", Shape(24, 10, 40, 50))
    )
    rows.segments[1] = (Piece(rows.boxes[1], "other", Shape(24, 10, 40, 50)),)  # type: ignore[index]
    expected = pixels((20, 20, 60, 40), (24, 10, 40, 50))
    np.testing.assert_array_equal(picture(drawn(only(merge(rows, 0.5)), WIDTH, HEIGHT)), expected)


def test_the_order_of_candidates_does_not_matter() -> None:
    rows = [
        ((20.0, 10.0, 60.0, 50.0), 0.8, "", Shape(20, 20, 60, 40)),
        ((24.0, 6.0, 66.0, 50.0), 0.9, "", None),
        ((22.0, 8.0, 66.0, 50.0), 0.7, "", None),
        ((18.0, 8.0, 60.0, 50.0), 0.6, "", Shape(18, 10, 60, 40)),
    ]
    expected = picture(drawn(only(merge(candidates(*rows), 0.5)), WIDTH, HEIGHT))
    for turn in range(4):
        rows = [*rows[1:], rows[0]] if turn % 2 else rows[::-1]
        np.testing.assert_array_equal(picture(drawn(only(merge(candidates(*rows), 0.5)), WIDTH, HEIGHT)), expected)


def test_boxes_without_any_outline_stay_without() -> None:
    plain = Candidates.of(np.array([[10, 10, 50, 50], [11, 10, 50, 50]]), np.array([0.9, 0.8]))
    assert merge(plain, 0.5).segments is None
    mixed = Candidates.concatenate([plain, candidates(((100, 10, 150, 50), 0.7, "", Shape(100, 10, 150, 50)))])
    found = merge(mixed, 0.5)
    assert found.segments is not None
    assert [segment is None for segment in found.segments] == [True, False]


def test_an_object_on_a_panoramas_seam_is_drawn_at_both_edges() -> None:
    """Seen whole by a window that crosses the seam: columns 180..220 of a cylinder of 200 are 180..200 and 0..20."""
    whole = candidates(((180, 10, 220, 50), 0.9, "", Shape(185, 10, 215, 50)))
    halves = opened(merge(whole, 0.5, WIDTH), WIDTH).ordered()
    np.testing.assert_allclose(np.sort(halves.boxes[:, 0]), [-20, 180])
    together = np.zeros((HEIGHT, WIDTH), bool)
    for segment in halves.segments if halves.segments is not None else ():
        together |= picture(drawn(segment, WIDTH, HEIGHT))
    np.testing.assert_array_equal(together, pixels((185, 10, 200, 50), (0, 10, 15, 50)))


def test_parts_on_both_sides_of_a_seam_are_joined() -> None:
    """One window ends at the seam's left with its right side cut, one begins at 0 with its left side cut."""
    parts = candidates(
        ((160, 10, 200, 50), 0.9, "R", Shape(160, 20, 200, 50)), ((0, 10, 30, 50), 0.8, "L", Shape(0, 20, 30, 50))
    )
    found = merge(parts, 0.5, WIDTH)
    np.testing.assert_allclose(found.boxes, [[160, 10, 230, 50]])
    halves = opened(found, WIDTH)
    together = np.zeros((HEIGHT, WIDTH), bool)
    for segment in halves.segments if halves.segments is not None else ():
        together |= picture(drawn(segment, WIDTH, HEIGHT))
    np.testing.assert_array_equal(together, pixels((160, 20, 200, 50), (0, 20, 30, 50)))


def reaching(box: Box, shape: Shape, reach: Box) -> Piece:
    return Piece(np.array(box, np.float32), "seg", shape, reach=np.array(reach, np.float32))


def test_an_outline_may_reach_beyond_its_box() -> None:
    """It marks more there and tells nothing: what a box beside it covers stays."""
    own = reaching((40, 20, 80, 60), Shape(44, 20, 90, 60), (30, 10, 85, 70))
    np.testing.assert_array_equal(picture(drawn((own,), WIDTH, HEIGHT)), pixels((44, 20, 85, 60)))
    both = drawn((own, piece((20, 30, 60, 50), None)), WIDTH, HEIGHT)
    np.testing.assert_array_equal(picture(both), pixels((44, 20, 85, 60), (20, 30, 40, 50)))


def test_what_lies_beyond_the_box_makes_no_outline_plausible() -> None:
    assert drawn((reaching((40, 20, 80, 60), Shape(0, 0, 41, 100), (0, 0, 120, 100)),), WIDTH, HEIGHT) is None


def test_a_reach_moves_with_its_box() -> None:
    found = candidates(((190, 20, 230, 60), 0.9, "", None))
    shape = Shape(186, 20, 234, 60)
    found = replace(found, segments=as_segments([(reaching((190, 20, 230, 60), shape, (180, 10, 240, 70)),)]))
    left, right = sorted(opened(found, WIDTH).segments, key=lambda segment: float(segment[0].box[0]))
    np.testing.assert_array_equal(picture(drawn(left, WIDTH, HEIGHT)), pixels((0, 20, 34, 60)))
    np.testing.assert_array_equal(picture(drawn(right, WIDTH, HEIGHT)), pixels((186, 20, 200, 60)))
