"""Which corners are believed: a plate seen from the side, and all the ways in which a guess can be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import Candidates, usable
from velum_pipeline.detect.corners import STRAY, believed

BOX = np.array([[100, 50, 200, 80]], np.float32)
TURNED = [(102, 50), (200, 58), (198, 80), (100, 71)]


def judged(points: list[tuple[float, float]], box: NDArray[np.float32] = BOX) -> bool:
    """Whether all corners were kept; never some of them."""
    kept = believed(np.array([points], np.float32), box)
    known = np.isfinite(kept)
    assert known.all() or not known.any()
    return bool(known.all())


@pytest.mark.parametrize(
    "points",
    [
        TURNED,
        [(100, 50), (200, 50), (200, 80), (100, 80)],
        [(96, 48), (204, 48), (204, 82), (96, 82)],  # a little larger than the box
        [(150, 50), (200, 64), (150, 80), (100, 64)],  # turned by half a right angle
        [(110, 57), (195, 57), (195, 80), (110, 80)],  # a box that holds a bit more than the plate
    ],
)
def test_what_can_be_a_plate_is_kept(points: list[tuple[float, float]]) -> None:
    assert judged(points)


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(102, 50), (200, np.nan), (198, 80), (100, 71)], "not finite"),
        ([(102, 50), (200, np.inf), (198, 80), (100, 71)], "not finite"),
        (TURNED[::-1], "anticlockwise"),
        ([TURNED[0], TURNED[2], TURNED[1], TURNED[3]], "crossed sides"),
        ([(100, 50), (200, 50), (130, 60), (100, 80)], "one corner pushed in"),
        ([(100, 50), (200, 50), (200, 80), (150, 50)], "three corners on one side"),
        ([(100, 50)] * 4, "one point"),
        ([(60, 50), (200, 50), (200, 80), (60, 80)], "far outside on the left"),
        ([(100, 50), (200, 50), (200, 90), (100, 90)], "far below"),
        ([(120, 56), (180, 56), (180, 74), (120, 74)], "much smaller than the box"),
        ([(1e30, 50), (2e30, 50), (2e30, 80), (1e30, 80)], "absurd numbers"),
    ],
)
def test_what_cannot_be_one_is_not(points: list[tuple[float, float]], why: str) -> None:
    assert not judged(points), why


def test_how_far_a_corner_may_stray() -> None:
    for share, kept in ((STRAY - 0.01, True), (STRAY + 0.01, False)):
        assert judged([(100 - share * 100, 50), (200, 50), (200, 80), (100, 80)]) is kept


def test_rows_are_judged_alone() -> None:
    corners = np.array([TURNED, TURNED[::-1], TURNED], np.float32)
    found, broken = usable(np.repeat(BOX, 3, axis=0), np.ones(3, np.float32), corners)
    assert broken == 0
    assert isinstance(found, Candidates)
    assert len(found) == 3
    np.testing.assert_array_equal(np.isfinite(found.corners).all(axis=(1, 2)), [True, False, True])


def test_no_rows() -> None:
    assert believed(np.zeros((0, 4, 2), np.float32), np.zeros((0, 4), np.float32)).shape == (0, 4, 2)
