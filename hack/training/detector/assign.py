"""Which cells answer for which object: task-aligned assignment.

Feng et al. 2021, "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755: the cells whose class score s and
overlap u are best together, by s^a u^b, are the positives of an object, and u (normalised) is the score they should
give. Until boxes mean anything, nearness to the object's centre stands for the overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TOP = 10
SCORE_POWER, OVERLAP_POWER = 0.5, 4.0
LEVELS = {4: (0.0, 26.0), 8: (10.0, 72.0), 16: (32.0, 170.0), 32: (90.0, float("inf"))}
"""Square roots of the areas (pixels) that a stride may answer for."""
REACH = 0.7
"""Strides: a cell whose centre is so near may answer for an object that contains no cell's centre."""
LEAST_TARGET = 0.05
NEAR_COLD, NEAR_WARM = 0.6, 0.15
"""What nearness counts as overlap at most, before and after the first steps."""
TINY = 1e-7
"""Square pixels beside every area that is divided by."""


class Assigned(NamedTuple):
    """cells: (P,) which. objects: (P,) of which object. targets: (P,) the score they should give, 0..1."""

    cells: Tensor
    objects: Tensor
    targets: Tensor


def level_ranges(strides: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the greatest size (pixels) that each cell may answer for, from strides (M, 1)."""
    flat = strides.flatten().tolist()
    return torch.tensor([LEVELS[int(s)][0] for s in flat]), torch.tensor([LEVELS[int(s)][1] for s in flat])


@torch.no_grad()
def assign(
    scores: Tensor,
    boxes: Tensor,
    centres: Tensor,
    strides: Tensor,
    ranges: tuple[Tensor, Tensor],
    classes: Tensor,
    wanted: Tensor,
    *,
    cold: bool,
) -> Assigned:
    """Assign the M cells of one picture to its G objects.

    scores (M, classes), boxes (M, 4), centres (M, 2), strides (M, 1) of the cells; classes (G,), wanted (G, 4) of the
    objects. ``cold``: the network knows nothing yet.
    """
    sides = wanted[:, 2:] - wanted[:, :2]
    size = sides.prod(1).sqrt()
    reach = torch.maximum(sides[None] / 2, REACH * strides[:, None])
    away = ((centres[:, None] - (wanted[None, :, :2] + wanted[None, :, 2:]) / 2).abs() / reach).amax(2)
    may = (away < 1) & (size[None] >= ranges[0][:, None]) & (size[None] < ranges[1][:, None])
    rows = may.any(1).nonzero().flatten()  # few of all cells: the rest of the work is on these
    near = torch.exp(-2 * away[rows])
    overlap = overlaps(boxes[rows], wanted)
    quality = torch.maximum(overlap, near * (NEAR_COLD if cold else NEAR_WARM))
    agreement = quality**OVERLAP_POWER * may[rows]
    if not cold:
        agreement = agreement * scores[rows][:, classes].clamp(1e-3) ** SCORE_POWER
    best, places = agreement.topk(min(TOP, len(agreement)), 0)
    kept = torch.zeros_like(agreement).scatter_(0, places, best)
    strength, owner = kept.max(1)
    cells = torch.nonzero(strength > 0).flatten()
    objects = owner[cells]
    top = torch.zeros(len(wanted)).scatter_reduce_(0, objects, strength[cells], "amax")
    reached = (quality if cold else overlap)[cells, objects]
    ceiling = torch.zeros(len(wanted)).scatter_reduce_(0, objects, reached, "amax").clamp(min=NEAR_WARM)
    targets = (strength[cells] / (top[objects] + 1e-12) * ceiling[objects]).clamp(LEAST_TARGET, 1)
    return Assigned(rows[cells], objects, targets)


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of (M, 4) and (G, 4), (M, G)."""
    shared, union = intersection(boxes[:, None], others[None])
    return shared / union


def intersection(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Square pixels of intersection and of union, of boxes (..., 4) that are broadcast against each other."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (high - low).clamp(0).prod(-1)
    return shared, _area(boxes) + _area(others) - shared + TINY


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(0).prod(-1)
