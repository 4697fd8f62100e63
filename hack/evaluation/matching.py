"""Which detection is which object's: the one matcher of everything that measures recall here.

As in PASCAL VOC and COCO: detections by falling score, each takes the free object that it overlaps best, if by the
threshold or more. Ignored objects (crowds, objects too small or too hidden to be labelled one by one) are nobody's
misses; a detection that is no object's own counts as nothing, rather than as wrong, if it overlaps an ignored object by
the threshold, or lies in one for the most part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOSTLY = 0.5
"""Of a detection's area inside an ignored object."""

Boxes = NDArray[np.floating]


@dataclass(frozen=True)
class Matches:
    """For N detections and M objects.

    owner: (M,) the detection that found each object, -1 for a miss. right, wrong: bool (N,); a detection that is
    neither counts as nothing.
    """

    owner: NDArray[np.intp]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


@dataclass
class Tally:
    """Objects there, objects found, and detections of nothing. ``recall`` and ``precision`` are None of nothing."""

    objects: int = 0
    found: int = 0
    wrong: int = 0

    def add(self, matches: Matches) -> None:
        """Count one picture."""
        self.objects += len(matches.owner)
        self.found += int(matches.right.sum())
        self.wrong += int(matches.wrong.sum())

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.objects + other.objects, self.found + other.found, self.wrong + other.wrong)

    @property
    def recall(self) -> float | None:
        """The share of objects that were found."""
        return self.found / self.objects if self.objects else None

    @property
    def precision(self) -> float | None:
        """The share of detections, of those that count, that found an object."""
        return self.found / (self.found + self.wrong) if self.found + self.wrong else None


def match(boxes: Boxes, scores: NDArray[np.floating], truth: Boxes, ignored: Boxes, threshold: float) -> Matches:
    """The matches of one class in one picture. boxes (N, 4), scores (N,), truth (M, 4), ignored (K, 4): x1 y1 x2 y2."""
    overlaps, free = iou(boxes, truth), np.ones(len(truth), bool)
    owner, right = np.full(len(truth), -1, np.intp), np.zeros(len(boxes), bool)
    for row in np.argsort(-scores, kind="stable"):
        reached = np.where(free, overlaps[row], 0.0)
        best = int(reached.argmax()) if len(reached) else -1
        if best >= 0 and reached[best] >= threshold:
            owner[best], free[best], right[row] = row, False, True
    vague = (iou(boxes, ignored) >= threshold).any(axis=1) | (_share(boxes, ignored) > MOSTLY).any(axis=1)
    return Matches(owner, right, ~right & ~vague)


def iou(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every box (N, 4) with every other (M, 4); (N, M), 0 where both are empty."""
    shared = _shared(boxes, others)
    union = _area(boxes)[:, None] + _area(others)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _share(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    shared, area = _shared(boxes, others), _area(boxes)[:, None]
    return np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)


def _shared(boxes: Boxes, others: Boxes) -> NDArray[np.float64]:
    boxes, others = boxes.astype(np.float64).reshape(-1, 4), others.astype(np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray(np.prod(np.maximum(high - low, 0), axis=2), np.float64)


def _area(boxes: Boxes) -> NDArray[np.float64]:
    boxes = boxes.astype(np.float64).reshape(-1, 4)
    return np.asarray(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1), np.float64)
