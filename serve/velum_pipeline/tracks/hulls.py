"""Boxes about boxes, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def hull(one: Boxes, other: Boxes) -> Boxes:
    """The least boxes (N, 4) that hold both."""
    return np.concatenate([np.minimum(one[:, :2], other[:, :2]), np.maximum(one[:, 2:], other[:, 2:])], axis=1)


def grown(boxes: Boxes, growth: NDArray[np.float64]) -> Boxes:
    """Boxes (N, 4) larger by so many pixels (N,) on every side."""
    return np.concatenate([boxes[:, :2] - growth[:, None], boxes[:, 2:] + growth[:, None]], axis=1)
