"""How much boxes share."""

from __future__ import annotations

from training.labels.records import Box

SAME_IOU = 0.35
"""Two boxes of one object by different hands; recipe of the probe."""
SAME_COVERED = 0.7
"""One object drawn once with and once without what belongs to it loosely: a neck, a plate's frame."""


def area(box: Box) -> float:
    """Square pixels."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def shared(one: Box, other: Box) -> float:
    """Square pixels that lie in both."""
    return area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))


def iou(one: Box, other: Box) -> float:
    """Intersection over union."""
    both = shared(one, other)
    return both / (area(one) + area(other) - both) if both else 0.0


def same(one: Box, other: Box) -> bool:
    """Whether both can be the same object of one class."""
    return iou(one, other) >= SAME_IOU or shared(one, other) > SAME_COVERED * min(area(one), area(other))
