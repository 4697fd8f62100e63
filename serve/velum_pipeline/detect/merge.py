"""One box per object out of what several windows and several detectors saw, class by class.

``merge`` joins what one detector saw through windows beside each other. Four steps, all deterministic whatever order
the candidates come in:

1. **Stitch.** Two fragments that were cut on facing sides (one on its right, one on its left), that touch or overlap
   there and run side by side, are one object: their union replaces them. An object larger than a window's overlap is
   whole in no window, and either fragment alone would leave the rest of it visible.
2. **Prefer the whole.** Boxes that no border cut go first, then by score. A fragment may have the higher score; were it
   to win, the part of the object behind the border would be dropped with the whole box.
3. **Suppress.** A box that overlaps a kept one by the class's IoU is the same object; so is a fragment that a kept box
   covers by COVERED. The kept box takes the best score of what it stands for.
4. **Lose no end.** A stitched box may be the same object as a better scored one of one half. A kept box that does not
   cover it by COVERED takes it in.

``fuse`` joins several *looks* of one pack: different detectors, or one at different scales. Looks agree on objects more
often than on mistakes, so agreement counts. The score is that of independent witnesses, 1 - (1-a)(1-b)..., with the
doubt taken to the power of 1 / n ** AGREEMENT for n looks, because n looks also make more mistakes than one. The box is
the mean of theirs, weighted by score.

In a panorama, distances are taken around the cylinder (``period``): a box at the left edge and one past the right edge
are compared where they are closest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.groups import groups, nearest, standing
from velum_pipeline.detect.segments import as_segments, beyond, turned, united
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

SAME_OBJECT: Mapping[ObjectClass, float] = {
    ObjectClass.FACE: 0.35,
    ObjectClass.LICENSE_PLATE: 0.35,
    ObjectClass.PERSON: 0.5,
    ObjectClass.VEHICLE: 0.5,
}
"""IoU from which two boxes are one object.

Faces and plates hardly ever overlap, while two detectors' boxes of one small face may share half of it; persons and
vehicles do stand in front of each other.
"""
SIDE_BY_SIDE = 0.6
"""IoU of two fragments' extents along the border that cut them; a detector's jitter on both ends stays above it."""
TOUCHING = 8.0
"""Pixels by which two fragments may miss each other at a border without overlap: one stride of the finest networks."""

AGREEMENT = 0.5
"""0 would take looks for independent, and a threshold would let the more pass the more looks there are; 1 would only be
their mean. Errors of n independent looks shrink by the root of n."""

LEFT, TOP, RIGHT, BOTTOM = range(4)


def merge(candidates: Candidates, same_object: float, period: float | None = None) -> Candidates:
    """The objects among the candidates (one class, picture pixels), best first. See above for the steps."""
    stitched = candidates.ordered()
    for first, second in ((RIGHT, LEFT), (BOTTOM, TOP)):
        stitched = _stitch(stitched, first, second, period)
    return _suppress(stitched, same_object, period).ordered()


def fuse(
    looks: Sequence[Candidates],
    same_object: float,
    period: float | None = None,
    *,
    complete: int = 1,
    ranges: Sequence[tuple[float, float]] = (),
    average: bool = True,
) -> Candidates:
    """The objects among what several looks saw (one class, picture pixels), best first. Each look is merged already.

    ``complete``: how many of the looks saw the whole picture; the others only looked again at parts of it.
    ``ranges``: the shortest and the longest of the longer sides (pixels) of objects that each of them tells of; about
    others its silence is no doubt. ``average``: whether the box is the looks' mean, or the best look's.
    """
    numbers = np.concatenate([np.full(len(look), number) for number, look in enumerate(looks)] or [np.zeros(0, int)])
    together = Candidates.concatenate(looks)
    order = together.order()
    together, numbers = together.select(order), numbers[order]
    boxes, corners, scores = together.boxes.copy(), together.corners.copy(), together.scores.copy()
    kept = []
    for group in groups(together, same_object, period):
        witnesses = group.witnesses(numbers, same_object)
        longest = (group.boxes[0, 2:] - group.boxes[0, :2]).max()
        blind = sum(not least <= longest <= most for least, most in ranges)
        share = max(1, complete - blind) ** -AGREEMENT
        # A fragment inside the box is no witness for it, but what the box stands for must not be lost with its score.
        doubts = 1 - np.sort(together.scores[group.rows[witnesses]].astype(np.float64))
        alone = 1 - (1 - together.scores[group.rows].max().astype(np.float64)) ** share
        scores[group.best] = max(1 - np.prod(doubts) ** share, alone)
        if average:
            boxes[group.best], corners[group.best] = group.average(together, witnesses)
        kept.append(group)
    fused = replace(together, boxes=boxes, corners=corners, scores=scores)
    return standing(fused, together, kept).ordered()


def opened(candidates: Candidates, width: float) -> Candidates:
    """Boxes of a cylinder of this circumference (pixels), laid into the flat picture.

    A box over the seam becomes two, one at each edge: a rectangle of the picture cannot go around. So does one whose
    outline alone goes over it; its other box is as large as what is marked there.
    """
    turns = np.floor(candidates.boxes[:, 0] / width)
    placed = _around(candidates, -turns * width)
    over = placed.boxes[:, 2] > width
    rest = _around(placed.select(over), np.full(int(over.sum()), -width))
    return Candidates.concatenate([placed, rest, _spilled(placed, width)])


def _spilled(placed: Candidates, width: float) -> Candidates:
    """What outlines mark beyond an edge of the flat picture that their boxes do not cross, laid in at the other."""
    parts = []
    for row, segment in enumerate(placed.segments if placed.segments is not None else ()):
        left, right = float(placed.boxes[row, 0]), float(placed.boxes[row, 2])
        for start, stop, shift in ((width, left + width, -width), (right - width, 0.0, width)):
            pieces = beyond(segment or (), start, stop) if right <= width else ()
            if pieces:
                boxes = np.stack([piece.box for piece in pieces])
                box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
                part = Candidates.of(box[None], placed.scores[[row]])
                parts.append(_around(replace(part, segments=as_segments([pieces])), np.array([shift])))
    return Candidates.concatenate(parts)


def _around(candidates: Candidates, shift: NDArray[np.floating]) -> Candidates:
    step = np.asarray(shift, np.float32)
    boxes, corners = candidates.boxes.copy(), candidates.corners.copy()
    boxes[:, [0, 2]] += step[:, None]
    corners[:, :, 0] += step[:, None]
    return replace(candidates, boxes=boxes, corners=corners, segments=turned(candidates.segments, step))


def _stitch(candidates: Candidates, first: int, second: int, period: float | None) -> Candidates:
    """Replace pairs cut on side ``first`` and on the facing side ``second`` by their union, until there are none."""
    while (pair := _facing_pair(candidates, first, second, period)) is not None:
        one, other, box = pair
        union = Candidates.of(
            np.array(
                [[*np.minimum(candidates.boxes[one, :2], box[:2]), *np.maximum(candidates.boxes[one, 2:], box[2:])]]
            ),
            candidates.scores[[one, other]].max(keepdims=True),
            cut=_union_cut(candidates, one, other, first, second),
        )
        if candidates.segments is not None:
            steps = (0.0, float(box[0] - candidates.boxes[other, 0]))
            whole = united(candidates.segments, candidates.boxes, (one, other), steps)
            union = replace(union, segments=as_segments([whole]))
        union = replace(union, joined=np.ones(1, np.bool_))
        rest = np.delete(np.arange(len(candidates)), [one, other])
        candidates = Candidates.concatenate([union, candidates.select(rest)]).ordered()
    return candidates


def _facing_pair(
    candidates: Candidates, first: int, second: int, period: float | None
) -> tuple[int, int, Floats] | None:
    others = np.flatnonzero(candidates.cut[:, second])
    for one in np.flatnonzero(candidates.cut[:, first]) if len(others) else ():
        rivals = others[others != one]
        boxes = nearest(candidates.boxes[rivals], candidates.boxes[one], period)
        fits = _continue(candidates.boxes[one], boxes, across=second % 2)
        if fits.size and fits.max() >= SIDE_BY_SIDE:
            best = int(fits.argmax())
            return int(one), int(rivals[best]), boxes[best]
    return None


def _continue(box: Floats, others: Floats, across: int) -> NDArray[np.floating]:
    """How well each other box continues this one over a border: 1-D IoU along the border, 0 where they do not meet.

    ``across`` is the axis that crosses the border: 0 for left and right, 1 for top and bottom.
    """
    low, high, along = across, across + 2, 1 - across
    meets = (others[:, low] <= box[high] + TOUCHING) & (others[:, low] > box[low]) & (others[:, high] > box[high])
    shared = np.minimum(others[:, along + 2], box[along + 2]) - np.maximum(others[:, along], box[along])
    joint = np.maximum(others[:, along + 2], box[along + 2]) - np.minimum(others[:, along], box[along])
    return np.where(meets, np.maximum(shared, 0) / np.maximum(joint, 1e-6), 0.0)


def _union_cut(candidates: Candidates, one: int, other: int, first: int, second: int) -> NDArray[np.bool_]:
    cut: NDArray[np.bool_] = candidates.cut[one] | candidates.cut[other]
    cut[first], cut[second] = candidates.cut[other, first], candidates.cut[one, second]
    return cut.reshape(1, 4)


def _suppress(candidates: Candidates, same_object: float, period: float | None) -> Candidates:
    scores, kept = candidates.scores.copy(), []
    for group in groups(candidates, same_object, period):
        scores[group.best] = candidates.scores[group.rows].max()
        kept.append(group)
    return standing(replace(candidates, scores=scores), candidates, kept)
