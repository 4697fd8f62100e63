"""Which candidates are one object, and what one box must show to stand for all of them.

Boxes that no border cut go first, then by score. A box that overlaps the first by the class's IoU is the same object;
so is a fragment that the first covers by COVERED. In a panorama, distances are taken around the cylinder (``period``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.segments import Segment, absorbed
from velum_pipeline.detections import Floats

COVERED = 0.75
"""The share of a fragment inside a kept box from which it tells nothing new; likewise of what was stitched. At most a
quarter is at stake: a fragment is seen again by the neighbouring window, and borders of boxes jitter."""


@dataclass(frozen=True)
class Group:
    """One object: ``rows`` of the candidates, the first of which stands for it.

    boxes: float32 (R, 4), the rows' boxes where they are closest to the first. iou: (R,), with the first.
    """

    rows: NDArray[np.intp]
    boxes: Floats
    iou: NDArray[np.floating]

    @property
    def best(self) -> int:
        """The row that stands for the object."""
        return int(self.rows[0])

    def beyond(self, candidates: Candidates, box: Floats) -> NDArray[np.bool_]:
        """Which rows show an end of the object that this box (4,), were it to stand for all of them, would lose, (R,).

        A detector's own box is its word for where the object ends, and a better scored one overrules it. What was put
        together at a border is not: there is more behind it, whoever else saw less.
        """
        return np.asarray(candidates.joined[self.rows] & (_overlaps(box, self.boxes)[1] < COVERED), np.bool_)

    def segment(self, candidates: Candidates, beyond: NDArray[np.bool_]) -> Segment | None:
        """The rows' segments as one, with those of all that lie ``beyond`` (R,) the first."""
        rows, steps = self.rows.tolist(), self.turns(candidates).tolist()
        return absorbed(candidates.segments, candidates.boxes, rows, steps, beyond.tolist())

    def witnesses(self, looks: NDArray[np.integer], same_object: float) -> NDArray[np.intp]:
        """Positions in the group of each look's first candidate for the whole object; ``looks`` (N,) numbers them."""
        whole = np.flatnonzero(self.iou >= same_object)
        whole = whole if whole.size else np.zeros(1, np.intp)  # a first so thin that it has no area
        _, firsts = np.unique(looks[self.rows[whole]], return_index=True)
        return np.sort(whole[firsts])

    def average(self, candidates: Candidates, members: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """The box (4,) and the corners (4, 2) of these members, weighted by score, where the first of them is."""
        whole = members[~candidates.cut[self.rows[members]].any(axis=1)]
        members = whole if whole.size else members[:1]  # a fragment would shrink the object that it is a part of
        rows = self.rows[members]
        weights = np.maximum(candidates.scores[rows], 1e-6)
        corners = candidates.corners[rows].copy()
        corners[:, :, 0] += self.turns(candidates)[members, None]
        known = ~np.isnan(corners).any(axis=(1, 2))
        box = np.average(self.boxes[members], axis=0, weights=weights)
        if not known.any():
            return box, corners[0]
        return box, np.average(corners[known], axis=0, weights=weights[known])

    def turns(self, candidates: Candidates) -> Floats:
        """Pixels by which each row is moved around a panorama to be closest to the first, float32 (R,)."""
        return np.asarray(self.boxes[:, 0] - candidates.boxes[self.rows, 0], np.float32)


def groups(candidates: Candidates, same_object: float, period: float | None) -> Iterator[Group]:
    """The objects among candidates that are in their order.

    Each first is compared with what lies near it only: in a large picture, or at a threshold of 0, there are tens of
    thousands of candidates.
    """
    fragment = np.asarray(candidates.cut.any(axis=1), np.bool_)
    order = np.lexsort((np.arange(len(candidates)), fragment))
    rank = np.argsort(order)
    near, left = Neighbours(candidates.boxes, same_object, period), np.ones(len(candidates), np.bool_)
    for first in order:
        if not left[first]:
            continue
        rows = near.of(first)
        rows = rows[left[rows]]
        rows = rows[np.argsort(rank[rows])]
        boxes = nearest(candidates.boxes[rows], candidates.boxes[first], period)
        iou, covered = _overlaps(boxes[0], boxes)
        same = (iou >= same_object) | (fragment[rows] & (covered >= COVERED))
        same[0] = True  # also when a box is so thin that its area is lost
        left[rows[same]] = False
        yield Group(rows[same], boxes[same], iou[same])


class Neighbours:
    """Boxes by their middles along x.

    A box of width v that has an IoU of t with one of width w is at most w / t wide, so that their middles are at most
    (v + w) / 2 - t * max(v, w) <= w * (1 / t - 1) apart; what is covered by COVERED has its middle in the other.
    """

    def __init__(self, boxes: Floats, same_object: float, period: float | None) -> None:
        boxes = boxes.astype(np.float64)
        self._middles = (boxes[:, 0] + boxes[:, 2]) / 2
        self._reach = (boxes[:, 2] - boxes[:, 0]) * max(1 / same_object - 1, 0.5) + 1  # and 1 for what is rounded
        self._period = period
        if period is not None:
            self._middles %= period
        self._order = np.argsort(self._middles, kind="stable")
        self._sorted = self._middles[self._order]

    def of(self, row: int) -> NDArray[np.intp]:
        """The rows that may be one object with this one, itself among them, in no order."""
        low, high = self._middles[row] - self._reach[row], self._middles[row] + self._reach[row]
        if self._period is None:
            return self._between(low, high)
        if high - low >= self._period:
            return self._order
        around = (self._between(low + turn, high + turn) for turn in (-self._period, 0, self._period))
        return np.concatenate(list(around))

    def _between(self, low: float, high: float) -> NDArray[np.intp]:
        return self._order[slice(*np.searchsorted(self._sorted, (low, np.nextafter(high, np.inf))))]


def standing(chosen: Candidates, candidates: Candidates, objects: Sequence[Group]) -> Candidates:
    """Those rows of ``chosen`` that stand for these objects, grown by the parts of them that they do not show."""
    boxes, corners, joined = chosen.boxes.copy(), chosen.corners.copy(), chosen.joined.copy()
    segments = None if chosen.segments is None else chosen.segments.copy()
    for group in objects:
        row = group.best
        beyond = group.beyond(candidates, boxes[row])
        if segments is not None:
            segments[row] = group.segment(candidates, beyond)
        if beyond.any():
            shown = np.concatenate([boxes[row][None], group.boxes[beyond]])
            boxes[row] = np.concatenate([shown[:, :2].min(axis=0), shown[:, 2:].max(axis=0)])
            corners[row], joined[row] = np.nan, True  # corners of half a plate would hide half of it
    grown = replace(chosen, boxes=boxes, corners=corners, joined=joined, segments=segments)
    return grown.select(np.array([group.best for group in objects], np.intp))


def nearest(boxes: Floats, reference: Floats, period: float | None) -> Floats:
    """The boxes, each moved by whole turns to where it is closest to the reference box."""
    if period is None:
        return boxes
    distance = (reference[0] + reference[2] - boxes[:, 0] - boxes[:, 2]) / 2
    moved = boxes.copy()
    moved[:, [0, 2]] += (np.round(distance / period) * period)[:, None]
    return moved


def _overlaps(box: Floats, others: Floats) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """IoU of each other box with this one, and the share of each other box that lies inside it."""
    low, high = np.maximum(others[:, :2], box[:2]), np.minimum(others[:, 2:], box[2:])
    shared = _area(np.maximum(high - low, 0))
    area, areas = _area(box[None, 2:] - box[None, :2]), _area(others[:, 2:] - others[:, :2])
    return shared / np.maximum(areas + area - shared, 1e-9), shared / np.maximum(areas, 1e-9)


def _area(sides: Floats) -> NDArray[np.float64]:
    return np.multiply(sides[:, 0], sides[:, 1], dtype=np.float64)
