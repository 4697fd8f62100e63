"""What the tower is told of its answers.

Scores: varifocal loss (Zhang et al. 2021, arXiv 2008.13367): a positive's target is the quality of its box, and of the
many negatives those count that are taken for objects. Boxes: generalised IoU (Rezatofighi et al. 2019, arXiv
1902.09630). Corners: distance in lengths of the plate, where they are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from training.detector.assign import TINY, assign, intersection, level_ranges
from training.detector.network import grid, parts
from training.detector.tower import CLASSES, CORNERS, SIDES, Said

NEGATIVES = 0.75
BOX_WEIGHT, CORNER_WEIGHT = 2.0, 0.5
"""Weights of the terms beside that of the scores, which has 1."""
LEAST_IGNORED = 4.0
"""Pixels: half a side of what is ignored, at the least."""


@dataclass(frozen=True)
class Wanted:
    """A picture's objects. classes (G,), boxes (G, 4), corners (G, 8; not a number where unknown), ignore (G,)."""

    classes: Tensor
    boxes: Tensor
    corners: Tensor
    ignore: Tensor


@dataclass(frozen=True)
class Loss:
    """The terms, each a scalar; ``total`` is what is learned from."""

    scores: Tensor
    boxes: Tensor
    corners: Tensor

    @property
    def total(self) -> Tensor:
        """The weighted sum."""
        return self.scores + BOX_WEIGHT * self.boxes + CORNER_WEIGHT * self.corners


@lru_cache(maxsize=16)
def _geometry(height: int, width: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    centres, strides = grid(height, width, torch.zeros(1))
    return centres, strides, level_ranges(strides)


def loss(said: Said, wanted: Sequence[Wanted], size: tuple[int, int], *, cold: bool) -> Loss:
    """The loss of a batch whose inputs are of ``size`` (height, width)."""
    centres, strides, ranges = _geometry(*size)
    scores, boxes, corners = parts(said, *size).split([len(CLASSES), SIDES, CORNERS], 2)
    scores = scores.detach()
    targets, counts = torch.zeros_like(scores), torch.ones_like(scores)
    pairs = []
    for index, each in enumerate(wanted):
        _leave_out(counts[index], centres, each)
        found = each.ignore.logical_not().nonzero().flatten()
        if len(found) == 0:
            continue
        cells = (scores[index], boxes[index].detach(), centres, strides, ranges)
        chosen = assign(*cells, each.classes[found], each.boxes[found], cold=cold)
        rows, objects = chosen.cells, found[chosen.objects]
        classes = each.classes[objects]
        targets[index, rows, classes] = torch.maximum(targets[index, rows, classes], chosen.targets)
        counts[index, rows, classes] = 1
        got, known = (boxes[index, rows], corners[index, rows]), (each.boxes[objects], each.corners[objects])
        pairs.append((*got, *known, chosen.targets))
    weights = torch.where(targets > 0, targets, NEGATIVES * scores**2) * counts
    total = targets.sum().clamp(min=2)
    wrong = functional.binary_cross_entropy_with_logits(said.logits, targets, reduction="none")
    own = (wrong * weights).sum() / total
    if not pairs:
        return Loss(own, own.new_zeros(()), own.new_zeros(()))
    got_boxes, got_corners, aimed, known, shares = (torch.cat(each) for each in zip(*pairs, strict=True))
    return Loss(
        own,
        ((1 - generalised_iou(got_boxes, aimed)) * shares).sum() / total,
        _corner_loss(got_corners, known, aimed, shares) / total,
    )


def _leave_out(counts: Tensor, centres: Tensor, wanted: Wanted) -> None:
    """Take the cells in ignored objects out of the count, for the objects' classes."""
    for row in wanted.ignore.nonzero().flatten():
        box = wanted.boxes[row]
        half = ((box[2:] - box[:2]) / 2).clamp(min=LEAST_IGNORED)
        inside = ((centres - (box[:2] + box[2:]) / 2).abs() < half).all(1)
        counts[inside, wanted.classes[row]] = 0


def _corner_loss(corners: Tensor, known: Tensor, boxes: Tensor, shares: Tensor) -> Tensor:
    """Sum over the rows whose corners are known of their mean distance, in lengths of the box."""
    there = known.isfinite().all(1)
    if not there.any():
        return corners.new_zeros(())
    length = (boxes[there, 2:] - boxes[there, :2]).amax(1, keepdim=True).clamp(min=4)
    off = functional.smooth_l1_loss(corners[there] / length, known[there] / length, reduction="none", beta=0.05)
    return (off.mean(1) * shares[there]).sum() * 10


def generalised_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalised IoU of (P, 4) and (P, 4) in pairs, -1..1."""
    shared, union = intersection(boxes, others)
    hull = (torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])).prod(1) + TINY
    return shared / union - (hull - union) / hull
