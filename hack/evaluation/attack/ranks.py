"""Rank-1: how often the attacker's first guess is right, and how sure that number is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

TIE = 1e-6
"""Relative; distances nearer than this to the best are no knowledge but rounding."""


def rank1(distances: NDArray[np.floating]) -> float:
    """Share of probes (rows) whose own original (the column of the same number) is nearest.

    Where several are equally near, the attacker guesses one of them: that counts as its chance to be right.
    """
    best = distances.min(axis=1, keepdims=True)
    slack = TIE * np.maximum(np.ptp(distances, axis=1, keepdims=True), np.abs(best)) + 1e-12
    nearest = distances <= best + slack
    return float((np.diagonal(nearest) / nearest.sum(axis=1)).mean())


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95 % interval of a share seen in ``count`` trials."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
