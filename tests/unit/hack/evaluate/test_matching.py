"""The matcher: cases worked out by hand, and a twin that is too slow and too simple to be wrong."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.matching import Matches, Tally, iou, match

Box = tuple[int, int, int, int]


def matched(
    boxes: list[Box], scores: list[float], truth: list[Box], ignored: list[Box] | None = None, at: float = 0.5
) -> tuple[list[int], list[bool], list[bool]]:
    def array(rows: list[Box]) -> np.ndarray:
        return np.array(rows, np.float64).reshape(-1, 4)

    found = match(array(boxes), np.array(scores, np.float64), array(truth), array(ignored or []), at)
    return found.owner.tolist(), found.right.tolist(), found.wrong.tolist()


def test_nothing_at_all() -> None:
    assert matched([], [], []) == ([], [], [])


def test_what_is_not_seen_is_missed_and_what_is_not_there_is_wrong() -> None:
    assert matched([], [], [(0, 0, 10, 10)]) == ([-1], [], [])
    assert matched([(0, 0, 10, 10)], [0.9], []) == ([], [False], [True])


def test_an_object_has_one_owner_and_the_higher_score_wins() -> None:
    """The second detection fits better and comes first in the list, but is less sure."""
    assert matched([(0, 0, 10, 10), (0, 0, 10, 8)], [0.4, 0.9], [(0, 0, 10, 10)]) == ([1], [False, True], [True, False])


def test_of_equal_scores_the_first_wins() -> None:
    assert matched([(0, 0, 10, 8), (0, 0, 10, 10)], [0.5, 0.5], [(0, 0, 10, 10)])[0] == [0]


def test_a_detection_takes_the_object_that_it_overlaps_best() -> None:
    assert matched([(2, 0, 12, 10)], [0.9], [(0, 0, 10, 10), (3, 0, 13, 10)])[0] == [-1, 0]


def test_a_detection_whose_best_object_is_taken_takes_the_next() -> None:
    boxes: list[Box] = [(0, 0, 10, 10), (1, 0, 11, 10)]
    assert matched(boxes, [0.9, 0.8], [(0, 0, 10, 10), (4, 0, 14, 10)])[0] == [0, 1]


def test_the_threshold_itself_is_enough() -> None:
    assert matched([(0, 0, 10, 5)], [0.9], [(0, 0, 10, 10)], at=0.5)[0] == [0]
    assert matched([(0, 0, 10, 3)], [0.9], [(0, 0, 10, 10)], at=0.3)[0] == [0]
    assert matched([(0, 0, 100, 49)], [0.9], [(0, 0, 100, 100)], at=0.5)[0] == [-1]


@pytest.mark.parametrize(
    ("box", "wrong"),
    [
        ((0, 0, 10, 10), False),  # inside it
        ((0, 0, 10, 39), False),  # more than half of it inside
        ((0, 0, 10, 40), True),  # half of it is not most of it
        ((0, 0, 40, 20), False),  # half of it inside, and as much of both together
        ((200, 0, 210, 10), True),
    ],
)
def test_what_lies_on_an_ignored_object_counts_as_nothing(box: Box, wrong: bool) -> None:
    assert matched([box], [0.9], [], [(0, 0, 20, 20)]) == ([], [False], [wrong])


def test_an_ignored_object_takes_no_detection_from_a_real_one() -> None:
    assert matched([(0, 0, 10, 10)], [0.9], [(0, 0, 10, 10)], [(0, 0, 10, 10)]) == ([0], [True], [False])


def test_an_ignored_object_may_lie_under_several_detections() -> None:
    assert matched([(0, 0, 5, 5), (5, 5, 10, 10)], [0.9, 0.8], [], [(0, 0, 10, 10)])[2] == [False, False]


def test_boxes_without_area_overlap_nothing() -> None:
    none = np.array([[3.0, 3, 3, 3]])
    assert iou(none, none).tolist() == [[0.0]]


def test_a_tally_adds_up_and_is_not_defined_of_nothing() -> None:
    tally = Tally()
    assert (tally.recall, tally.precision) == (None, None)
    tally.add(
        Matches(np.array([0, -1, 2]), np.array([True, False, True, False]), np.array([False, True, False, False]))
    )
    assert (tally.objects, tally.found, tally.wrong) == (3, 2, 1)
    assert tally + tally == Tally(6, 4, 2)
    assert (tally.recall, tally.precision) == (2 / 3, 2 / 3)


sides = st.integers(0, 6)
box = st.tuples(sides, sides, st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def twin(boxes: list[Box], scores: list[int], truth: list[Box], ignored: list[Box], at: Fraction) -> list[object]:
    def cells(one: Box) -> set[tuple[int, int]]:
        return {(x, y) for x in range(one[0], one[2]) for y in range(one[1], one[3])}

    def overlap(one: Box, other: Box) -> Fraction:
        return Fraction(len(cells(one) & cells(other)), len(cells(one) | cells(other)))

    owner = [-1] * len(truth)
    for row in sorted(range(len(boxes)), key=lambda row: (-scores[row], row)):
        free = [index for index in range(len(truth)) if owner[index] < 0 and overlap(boxes[row], truth[index]) >= at]
        if free:
            owner[max(free, key=lambda index: (overlap(boxes[row], truth[index]), -index))] = row
    right = [row in owner for row in range(len(boxes))]
    vague = [
        any(overlap(one, area) >= at or 2 * len(cells(one) & cells(area)) > len(cells(one)) for area in ignored)
        for one in boxes
    ]
    return [owner, right, [not (a or b) for a, b in zip(right, vague, strict=True)]]


@given(
    found=st.lists(st.tuples(box, st.integers(0, 3)), max_size=6),
    truth=st.lists(box, max_size=5),
    ignored=st.lists(box, max_size=3),
    at=st.sampled_from([Fraction(3, 10), Fraction(1, 2)]),
)
def test_it_does_what_its_twin_does(
    found: list[tuple[Box, int]], truth: list[Box], ignored: list[Box], at: Fraction
) -> None:
    boxes, scores = [one for one, _ in found], [score for _, score in found]
    got = matched(boxes, [float(score) for score in scores], truth, ignored, float(at))
    assert list(got) == twin(boxes, scores, truth, ignored, at)
