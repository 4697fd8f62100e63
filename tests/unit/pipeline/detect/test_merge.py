from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.groups import COVERED
from velum_pipeline.detect.merge import fuse, merge, opened

Row = tuple[float, float, float, float]


def candidates(*rows: tuple[Row, float, str]) -> Candidates:
    """Rows of (box, score, cut sides as letters of LTRB)."""
    return Candidates.of(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        cut=np.array([[side in cut for side in "LTRB"] for _, _, cut in rows], bool).reshape(-1, 4),
    )


def share(found: Candidates, box: Row) -> float:
    """The most of the box that one of the found boxes covers."""
    low, high = np.maximum(found.boxes[:, :2], box[:2]), np.minimum(found.boxes[:, 2:], box[2:])
    return float(np.prod(np.maximum(high - low, 0), axis=1).max() / ((box[2] - box[0]) * (box[3] - box[1])))


def rows_of(found: Candidates) -> list[list[float]]:
    return found.boxes.round(3).tolist()


def test_two_detectors_one_object() -> None:
    found = merge(candidates(((0, 0, 100, 100), 0.6, ""), ((4, 2, 102, 99), 0.9, "")), 0.5)
    assert rows_of(found) == [[4, 2, 102, 99]]
    np.testing.assert_allclose(found.scores, [0.9])


def test_neighbours_stay_two() -> None:
    assert len(merge(candidates(((0, 0, 100, 100), 0.6, ""), ((60, 0, 160, 100), 0.9, "")), 0.5)) == 2


def test_a_fragment_does_not_beat_its_whole() -> None:
    whole, fragment = (100, 100, 200, 300), (100, 100, 160, 300)
    found = merge(candidates((whole, 0.55, ""), (fragment, 0.95, "R")), 0.5)
    assert rows_of(found) == [list(whole)]
    np.testing.assert_allclose(found.scores, [0.95])


def test_a_small_fragment_goes_into_its_whole() -> None:
    found = merge(candidates(((100, 100, 500, 300), 0.5, ""), ((420, 110, 500, 300), 0.8, "L")), 0.5)
    assert len(found) == 1


def test_a_small_whole_object_inside_another_stays() -> None:
    """A rider on a bus is not a fragment of the bus."""
    assert len(merge(candidates(((100, 100, 500, 300), 0.5, ""), ((420, 110, 480, 200), 0.8, "")), 0.5)) == 2


def test_fragments_on_both_sides_of_a_border_become_one() -> None:
    found = merge(candidates(((500, 100, 640, 300), 0.5, "R"), ((600, 104, 900, 298), 0.7, "L")), 0.5)
    assert rows_of(found) == [[500, 100, 900, 300]]
    np.testing.assert_allclose(found.scores, [0.7])
    assert not found.cut.any()


def test_fragments_without_overlap_become_one() -> None:
    found = merge(candidates(((500, 100, 638, 300), 0.5, "R"), ((641, 104, 900, 298), 0.7, "L")), 0.5)
    assert rows_of(found) == [[500, 100, 900, 300]]


@pytest.mark.parametrize("half_score", [0.3, 0.9])
def test_a_box_of_one_half_does_not_hide_the_other(half_score: float) -> None:
    """Of two halves in two windows, one is taken for a whole object by a third: the far end must stay hidden."""
    half = ((100, 100, 200, 300), half_score, "")
    halves = ((100, 100, 200, 300), 0.5, "R"), ((200, 100, 300, 300), 0.5, "L")
    found = merge(candidates(half, *halves), 0.5)
    assert rows_of(found) == [[100, 100, 300, 300]]
    np.testing.assert_allclose(found.scores, [max(half_score, 0.5)])
    again = merge(Candidates.concatenate([found, candidates(((100, 100, 210, 300), 0.95, ""))]), 0.5)
    assert rows_of(again) == [[100, 100, 300, 300]]
    other_look = candidates(((100, 100, 210, 300), 0.95, ""))
    for average in (True, False):
        fused = fuse([found, other_look], 0.5, complete=2, average=average)
        assert share(fused, (100, 100, 300, 300)) >= COVERED


def test_halves_join_around_the_seam_under_a_box_of_one() -> None:
    around = candidates(((940, 50, 1000, 90), 0.9, ""), ((940, 50, 1000, 90), 0.6, "R"), ((0, 50, 55, 90), 0.6, "L"))
    assert rows_of(merge(around, 0.5, period=1000)) == [[940, 50, 1055, 90]]


def test_a_grown_box_has_no_corners() -> None:
    """They would draw a plate's quad over half of it."""
    square = np.array([[[0, 0], [10, 0], [10, 10], [0, 10]]], np.float32)
    half = Candidates.of(np.array([[0, 0, 10, 10]]), np.array([0.9]), square)
    parts = candidates(((0, 0, 10, 10), 0.5, "R"), ((10, 0, 19, 10), 0.5, "L"))
    found = merge(Candidates.concatenate([half, parts]), 0.5)
    assert rows_of(found) == [[0, 0, 19, 10]]
    assert np.isnan(found.corners).all()


def test_fragments_of_four_windows_become_one() -> None:
    corners = candidates(
        ((100, 100, 210, 210), 0.9, "RB"),
        ((190, 100, 300, 210), 0.8, "LB"),
        ((100, 190, 210, 300), 0.7, "RT"),
        ((190, 190, 300, 300), 0.6, "LT"),
    )
    assert rows_of(merge(corners, 0.5)) == [[100, 100, 300, 300]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (((500, 100, 640, 300), 0.5, "R"), ((600, 300, 900, 500), 0.7, "L")),  # one below the other
        (((500, 100, 640, 300), 0.5, "R"), ((700, 104, 900, 298), 0.7, "L")),  # a gap: another border
        (((500, 100, 640, 300), 0.5, "R"), ((600, 104, 900, 298), 0.7, "")),  # whole, only near
        (((500, 100, 640, 300), 0.5, "L"), ((600, 104, 900, 298), 0.7, "R")),  # cut on the far sides
    ],
)
def test_what_does_not_continue_is_not_joined(one: tuple[Row, float, str], other: tuple[Row, float, str]) -> None:
    assert len(merge(candidates(one, other), 0.5)) == 2


def test_around_the_seam_one_object() -> None:
    width = 1000.0
    same = candidates(((-20, 50, 40, 90), 0.9, ""), ((980, 50, 1040, 90), 0.8, ""), ((1981, 51, 2041, 90), 0.7, ""))
    found = merge(same, 0.5, period=width)
    assert len(found) == 1
    assert len(merge(same, 0.5)) == 3


def test_fragments_at_the_pictures_edges_meet_in_a_panorama() -> None:
    edges = candidates(((950, 50, 1000, 90), 0.9, "R"), ((0, 50, 30, 90), 0.8, "L"))
    assert rows_of(merge(edges, 0.5, period=1000)) == [[950, 50, 1030, 90]]
    assert len(merge(edges, 0.5)) == 2


def test_opened_splits_at_the_seam() -> None:
    corners = np.array([[[960, 10], [1040, 10], [1040, 20], [960, 20]]], np.float32)
    box = Candidates.of(np.array([[960, 10, 1040, 20]]), np.array([0.5]), corners)
    found = opened(box, 1000)
    assert rows_of(found) == [[960, 10, 1040, 20], [-40, 10, 40, 20]]
    np.testing.assert_array_equal(found.corners[1, :, 0], [-40, 40, 40, -40])


def test_opened_brings_far_boxes_back() -> None:
    far = candidates(((2100, 0, 2150, 9), 0.5, ""), ((-90, 0, -40, 9), 0.4, ""), ((5, 0, 9, 9), 0.3, ""))
    assert rows_of(opened(far, 1000)) == [[100, 0, 150, 9], [910, 0, 960, 9], [5, 0, 9, 9]]


def test_nothing_in_nothing_out() -> None:
    assert len(merge(Candidates.empty(), 0.5)) == 0
    assert len(opened(merge(Candidates.empty(), 0.5, 100), 100)) == 0


side = st.integers(0, 60)
boxes = st.tuples(side, side, st.integers(1, 40), st.integers(1, 40)).map(
    lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
)
cuts = st.text("LTRB", max_size=2)
rows = st.lists(st.tuples(boxes, st.integers(1, 100).map(lambda v: v / 100), cuts), max_size=12)


@settings(max_examples=150, deadline=None)
@given(rows, st.randoms(use_true_random=False), st.sampled_from([None, 100.0]))
def test_the_order_of_arrival_does_not_matter(
    given_rows: list[tuple[Row, float, str]], random: object, period: float | None
) -> None:
    shuffled = list(given_rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = merge(candidates(*given_rows), 0.5, period), merge(candidates(*shuffled), 0.5, period)
    assert rows_of(one) == rows_of(other)
    np.testing.assert_array_equal(one.scores, other.scores)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_every_candidate_stays_covered(given_rows: list[tuple[Row, float, str]]) -> None:
    """No candidate vanishes: each overlaps a result by the suppression's own measure, with at least its score."""
    found = merge(candidates(*given_rows), 0.5)
    for box, score, _ in given_rows:
        assert share(found, box) >= 1 / 3 - 1e-3  # IoU of a half means half of the larger, less after a chain
        assert found.scores.max() >= np.float32(score)


@settings(max_examples=300, deadline=None)
@given(rows, st.integers(1, 40), st.integers(1, 40), st.integers(0, 60), st.integers(1, 40), st.integers(1, 100))
def test_both_ends_of_a_stitched_object_stay_covered(
    given_rows: list[tuple[Row, float, str]], left: int, right: int, top: int, height: int, percent: int
) -> None:
    """Whatever else is seen, whole and better: two fragments at x = 40 are one object, and one result hides it."""
    whole = [(box, score, "") for box, score, _ in given_rows]
    one, other = (40.0 - left, float(top), 40.0, float(top + height)), (40.0, float(top), 40.0 + right, top + height)
    found = merge(candidates(*whole, (one, percent / 100, "R"), (other, percent / 100, "L")), 0.5)
    assert share(found, (one[0], one[1], other[2], other[3])) >= COVERED - 1e-3


@settings(max_examples=100, deadline=None)
@given(rows)
def test_merging_twice_changes_nothing(given_rows: list[tuple[Row, float, str]]) -> None:
    whole = candidates(*((box, score, "") for box, score, _ in given_rows))
    once = merge(whole, 0.5)
    assert rows_of(merge(once, 0.5)) == rows_of(once)


def test_two_doubtful_looks_agree() -> None:
    box = (0, 0, 100, 100)
    (fused,) = fuse([candidates((box, 0.4, "")), candidates((box, 0.4, ""))], 0.5, complete=2).scores
    assert fused == pytest.approx(1 - 0.36 ** (0.5**0.5))
    assert fused > 0.4


def test_what_one_of_two_looks_sees_has_to_be_clearer() -> None:
    (fused,) = fuse([candidates(((0, 0, 100, 100), 0.5, "")), Candidates.empty()], 0.5, complete=2).scores
    assert fused == pytest.approx(1 - 0.5 ** (0.5**0.5))
    assert fused < 0.5


def test_a_look_that_leaves_out_what_is_large_casts_no_doubt_on_it() -> None:
    looks = [candidates(((0, 0, 100, 100), 0.5, ""), ((0, 200, 400, 400), 0.5, "")), Candidates.empty()]
    fused = fuse(looks, 0.5, complete=2, ranges=[(0, np.inf), (0, 300)])
    assert rows_of(fused) == [[0, 200, 400, 400], [0, 0, 100, 100]]
    np.testing.assert_allclose(fused.scores, [0.5, 1 - 0.5 ** (0.5**0.5)], rtol=1e-6)


def test_a_look_that_leaves_out_what_is_small_casts_no_doubt_on_it() -> None:
    looks = [candidates(((0, 0, 100, 100), 0.5, ""), ((0, 200, 400, 400), 0.5, "")), Candidates.empty()]
    fused = fuse(looks, 0.5, complete=2, ranges=[(0, np.inf), (200, np.inf)])
    assert rows_of(fused) == [[0, 0, 100, 100], [0, 200, 400, 400]]
    np.testing.assert_allclose(fused.scores, [0.5, 1 - 0.5 ** (0.5**0.5)], rtol=1e-6)


def test_one_look_is_taken_at_its_word() -> None:
    look = candidates(((0, 0, 100, 100), 0.6, ""), ((200, 0, 300, 100), 0.9, ""))
    fused = fuse([look], 0.5)
    assert rows_of(fused) == [[200, 0, 300, 100], [0, 0, 100, 100]]
    np.testing.assert_allclose(fused.scores, [0.9, 0.6], rtol=1e-6)


def test_the_box_is_the_looks_mean_by_score() -> None:
    fused = fuse([candidates(((0, 0, 100, 100), 0.75, "")), candidates(((8, 4, 108, 104), 0.25, ""))], 0.5)
    assert rows_of(fused) == [[2, 1, 102, 101]]


def test_corners_go_with_the_box() -> None:
    square = np.array([[[0, 0], [10, 0], [10, 10], [0, 10]]], np.float32)
    one = Candidates.of(np.array([[0, 0, 10, 10]]), np.array([0.5]), square)
    other = Candidates.of(np.array([[2, 0, 12, 10]]), np.array([0.5]), square + np.array([2, 0], np.float32))
    unknown = candidates(((0, 0, 10, 10), 0.5, ""))
    np.testing.assert_allclose(fuse([one, other, unknown], 0.5).corners[0], square[0] + [1, 0])
    assert np.isnan(fuse([unknown, unknown], 0.5).corners).all()


def test_a_fragment_neither_shrinks_nor_supports_its_whole() -> None:
    whole, fragment = candidates(((0, 0, 300, 100), 0.5, "")), candidates(((0, 0, 120, 100), 0.4, "R"))
    fused = fuse([whole, fragment], 0.5)
    assert rows_of(fused) == [[0, 0, 300, 100]]
    np.testing.assert_allclose(fused.scores, [0.5])


def test_a_strong_fragment_is_not_lost_in_a_weak_whole() -> None:
    fused = fuse([candidates(((0, 0, 300, 100), 0.2, "")), candidates(((0, 0, 120, 100), 0.9, "R"))], 0.5)
    assert rows_of(fused) == [[0, 0, 300, 100]]
    np.testing.assert_allclose(fused.scores, [0.9])


def test_looks_agree_around_the_seam() -> None:
    one, other = candidates(((980, 50, 1040, 90), 0.5, "")), candidates(((-20, 50, 40, 90), 0.5, ""))
    fused = fuse([one, other], 0.5, period=1000)
    assert len(fused) == 1
    assert fused.scores[0] == pytest.approx(0.75)
    assert fused.boxes[0, 2] - fused.boxes[0, 0] == pytest.approx(60)


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, max_size=4), st.randoms(use_true_random=False), st.sampled_from([None, 100.0]))
def test_the_order_of_looks_does_not_matter(
    given_looks: list[list[tuple[Row, float, str]]], random: object, period: float | None
) -> None:
    looks = [merge(candidates(*look), 0.5, period) for look in given_looks]
    shuffled = list(looks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (fuse(order, 0.5, period, complete=max(1, len(looks))) for order in (looks, shuffled))
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(rows, min_size=1, max_size=4))
def test_no_look_is_lost(given_looks: list[list[tuple[Row, float, str]]]) -> None:
    """Every whole box of a look overlaps a result, whose score no single box exceeds by more than the looks' share."""
    looks = [merge(candidates(*((box, score, "") for box, score, _ in look)), 0.5) for look in given_looks]
    fused = fuse(looks, 0.5)
    for look in looks:
        for box, score in zip(look.boxes, look.scores, strict=True):
            low, high = np.maximum(fused.boxes[:, :2], box[:2]), np.minimum(fused.boxes[:, 2:], box[2:])
            meets = (high > low).all(axis=1)
            assert meets.any()
            assert fused.scores[meets].max() >= score - 1e-6
