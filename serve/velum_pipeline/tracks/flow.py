"""The motion that most points share, in one compiled pass: points are few, and numpy's calls would cost more than they.

Median flow (Kalal, Mikolajczyk, Matas, "Forward-backward error", ICPR 2010): points whose motion is far from the median
do not count, and what is left gives a shift and a growth by least squares.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled, inner

SWELL = 0.04
"""The most by which things are believed to grow or shrink from frame to frame: a car's box does by 0.02 (`tracker`)."""
STRAY = 2.0
"""Medians of all points' distances from their median, beyond which a point has a motion of its own."""
SEVERAL = 5
"""Points from which on a growth is believed."""


@compiled
def common(
    points: NDArray[np.float64],
    moved: NDArray[np.float64],
    good: NDArray[np.bool_],
    middle: NDArray[np.float64],
    nearness: float,
    enough: int,
    out: NDArray[np.float64],
) -> None:
    """Fill in ``out`` (4,): 1 where at least ``enough`` points are good, else 0; by how much what is at ``middle``
    (2,) moves; by how much it grows, 1 not at all.

    points, moved: (N, 2) where they were, and by how much they moved. good: (N,). nearness: always still near.
    """
    count = 0
    kept = np.empty(len(points), np.int64)
    for index in range(len(points)):
        if good[index]:
            kept[count] = index
            count += 1
    out[:] = 0.0
    if count < enough:
        return
    kept = kept[:count]
    across, down = _median(moved[kept, 0]), _median(moved[kept, 1])
    away = np.maximum(np.abs(moved[kept, 0] - across), np.abs(moved[kept, 1] - down))
    limit = max(STRAY * _median(away), nearness)
    alike = kept[away <= limit]
    x, y = _mean(points[alike, 0]), _mean(points[alike, 1])
    across, down = _mean(moved[alike, 0]), _mean(moved[alike, 1])
    spread, outwards = 0.0, 0.0
    for index in alike:
        arm_x, arm_y = points[index, 0] - x, points[index, 1] - y
        spread += arm_x * arm_x + arm_y * arm_y
        outwards += arm_x * (moved[index, 0] - across) + arm_y * (moved[index, 1] - down)
    swell = outwards / spread if len(alike) >= SEVERAL and spread > 0 else 0.0
    swell = min(max(swell, -SWELL), SWELL)
    out[0] = 1.0
    out[1], out[2] = across + swell * (middle[0] - x), down + swell * (middle[1] - y)
    out[3] = 1.0 + swell


@inner
def _median(values: NDArray[np.float64]) -> Any:
    ordered = np.sort(values)
    return (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


@inner
def _mean(values: NDArray[np.float64]) -> Any:
    total = 0.0
    for value in values:
        total += value
    return total / len(values)
