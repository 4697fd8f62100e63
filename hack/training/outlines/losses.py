"""What a mask is held to: every pixel right, edges above all, and the overlap (Dice: Milletari et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EDGE = 3.0
"""How much more a pixel on the edge counts: the inside is soon learnt, and the edge is what IoU is lost on."""
NEAR = 7
"""Cells across which a pixel is near an edge."""


def loss(logits: Tensor, masks: Tensor, certain: Tensor, weights: Tensor) -> Tensor:
    """Of logits (B, S, S) against masks 0..1 where ``certain`` (B, S, S, 0 or 1); ``weights`` (B,) of the examples."""
    near = functional.avg_pool2d(masks[:, None], NEAR, 1, NEAR // 2, count_include_pad=False)[:, 0]
    edges = certain * (1 + EDGE * 4 * near * (1 - near))
    each = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    pixels = (each * edges).sum((1, 2)) / edges.sum((1, 2)).clamp(min=1)
    found = logits.sigmoid() * certain
    wanted = masks * certain
    dice = 1 - (2 * (found * wanted).sum((1, 2)) + 1) / (found.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    return torch.sum((pixels + dice) * weights) / weights.sum()
