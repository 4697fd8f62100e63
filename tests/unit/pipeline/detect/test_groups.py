"""That looking near by finds the objects that looking everywhere finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.groups import COVERED, Neighbours, groups

side = st.integers(1, 480).map(lambda quarters: quarters / 4)  # float32 holds their products exactly
place = st.integers(-400, 800).map(lambda quarters: quarters / 4)
rows = st.lists(st.tuples(place, place, side, side, st.sampled_from([0.2, 0.5, 0.9]), st.booleans()), max_size=20)
Row = tuple[float, float, float, float, float, bool]


def candidates(given_rows: list[Row]) -> Candidates:
    table = np.array([row[:5] for row in given_rows], np.float64).reshape(-1, 5)
    cut = np.array([[False, False, row[5], False] for row in given_rows], bool).reshape(-1, 4)
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    return Candidates.of(boxes, table[:, 4], cut=cut).ordered()


def everywhere(found: Candidates, same_object: float, period: float | None) -> list[list[int]]:
    """Each first against all that are left, box by box."""
    cut = found.cut.any(axis=1)
    left = sorted(range(len(found)), key=lambda row: (cut[row], row))
    told = []
    while left:
        first = found.boxes[left[0]].astype(np.float64)
        own = [left[0]]
        for row in left[1:]:
            box = found.boxes[row].astype(np.float64)
            if period is not None:
                box[[0, 2]] += round((first[0] + first[2] - box[0] - box[2]) / 2 / period) * period
            shared = np.prod(np.maximum(np.minimum(first[2:], box[2:]) - np.maximum(first[:2], box[:2]), 0))
            area, areas = np.prod(box[2:] - box[:2]), np.prod(first[2:] - first[:2])
            if shared >= same_object * (area + areas - shared) or (cut[row] and shared >= COVERED * area):
                own.append(row)
        told.append(own)
        left = [row for row in left if row not in own]
    return told


@settings(max_examples=300, deadline=None)
@given(rows, st.sampled_from([0.35, 0.5]), st.sampled_from([None, 100.0, 250.0]))
def test_what_is_near_is_all_that_matters(given_rows: list[Row], same_object: float, period: float | None) -> None:
    found = candidates(given_rows)
    assert [group.rows.tolist() for group in groups(found, same_object, period)] == everywhere(
        found, same_object, period
    )


def test_far_candidates_are_not_compared() -> None:
    """All against all would be 200 million comparisons of 20,000 boxes: minutes that one request could ask for."""
    x = np.arange(20_000) * 12.0
    boxes = np.stack([x, np.zeros_like(x), x + 10, np.full_like(x, 10)], axis=1).astype(np.float32)
    for period in (None, 240_000.0):
        near = Neighbours(boxes, 0.5, period)
        assert max(len(near.of(row)) for row in range(0, len(x), 100)) <= 3
