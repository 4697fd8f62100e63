"""Whether four corners can be those of a plate, judged beside its box.

Plain numbers throughout: of four points, Python is done before numpy has begun.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Points = Sequence[Sequence[float]]
"""Four (x, y), clockwise from the object's own top left."""
Box = tuple[float, float, float, float]

QUAD_MIN_AREA = 0.35
"""A quadrilateral that covers less of its box than this is a bad guess: a plate turned by 45 degrees and four times as
wide as high covers 0.32, but its box is nearly square and then safer anyway."""
QUAD_MIN_OVERLAP = 0.7
"""Share of the box that the quadrilateral's own bounding box must cover, and the other way round."""
QUAD_MAX_ANGLE = 0.12
"""Sine of the angle between the long sides, 7 degrees.

Perspective makes a plate's sides meet, but from where its characters can be read hardly more than that; a quadrilateral
that is a wedge has a corner in the wrong place and would leave part of the plate out.
"""
QUAD_MAX_ASPECT = 7.0
"""Longer by shorter sides. The widest plates are 4.7 times as wide as high, seen from 45 degrees above 6.7 times."""


def extent(corners: Points) -> Box:
    """The box about the corners."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def fits(corners: Points, box: Box) -> bool:
    """Whether four corners are a convex clockwise quadrilateral whose own box is nearly the detected one."""
    if not all(math.isfinite(value) for corner in corners for value in corner):
        return False
    sides = _sides(corners)
    if any(_cross(side, sides[(index + 1) % 4]) <= 0 for index, side in enumerate(sides)):
        return False
    own = extent(corners)
    shared = (max(own[0], box[0]), max(own[1], box[1]), min(own[2], box[2]), min(own[3], box[3]))
    smaller, larger = sorted((_area(own), _area(box)))
    return smaller > 0 and _area(shared) >= QUAD_MIN_OVERLAP * larger


def plausible(corners: Points, box: Box) -> bool:
    """Whether a plate can look like a quadrilateral that fits its box: not too thin for it, and no wedge."""
    top, right, bottom, left = sides = _sides(corners)
    if _cross(top, right) + _cross(bottom, left) < 2 * QUAD_MIN_AREA * _area(box):
        return False
    lengths = [math.hypot(*side) for side in sides]
    long, short = lengths[0] + lengths[2], lengths[1] + lengths[3]
    one, other = top, bottom
    if short > long:
        long, short, one, other = short, long, right, left
    angle = abs(_cross(one, other)) / (math.hypot(*one) * math.hypot(*other))
    return long <= QUAD_MAX_ASPECT * short and angle <= QUAD_MAX_ANGLE


def _sides(corners: Points) -> list[tuple[float, float]]:
    """Top, right, bottom, left, each from its first corner to the next."""
    following = (*corners[1:], corners[0])
    return [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in zip(corners, following, strict=True)]


def _cross(one: tuple[float, float], other: tuple[float, float]) -> float:
    return one[0] * other[1] - one[1] * other[0]


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)
