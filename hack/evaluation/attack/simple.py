"""Attackers that only look: at how two pictures correlate, and at the means of cells."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Pixels

Floats = NDArray[np.float32]
GRIDS = ((1, 1), (1, 2), (2, 2), (4, 5), (8, 10))
"""Cells (across, down) that the second attacker averages both sides by; it is given the best of them. The first is
colour alone."""
FINE = (16, 20)
"""Cells that are correlated: 4 x 4 pixels each, finer than anything a redaction leaves."""


def means(crops: Pixels, across: int, down: int) -> Floats:
    """Cell means of boxes, float32 (N, down, across, 3). The boxes' sides must divide by them."""
    size = (across, down)  # exact, as cells are whole pixels, and faster than means over two axes
    return np.stack([cv2.resize(crop.astype(np.float32), size, interpolation=cv2.INTER_AREA) for crop in crops])


def correlation(shown: Pixels, originals: Pixels) -> Floats:
    """Distances (N, N): minus the normalised correlation of each shown box (row) with each original (column)."""
    return -(_normalised(shown) @ _normalised(originals).T)


def _normalised(crops: Pixels) -> Floats:
    fine = means(crops, *FINE).reshape(len(crops), -1)
    fine = fine - fine.mean(axis=1, keepdims=True)
    return np.asarray(fine / np.maximum(np.linalg.norm(fine, axis=1, keepdims=True), 1e-6), np.float32)


def by_cells(shown: Pixels, originals: Pixels) -> list[NDArray[np.float64]]:
    """Distances (N, N) between the cell means of both, for each of GRIDS."""
    return [
        squared_distances(means(shown, *grid).reshape(len(shown), -1), means(originals, *grid).reshape(len(shown), -1))
        for grid in GRIDS
    ]


def squared_distances(rows: NDArray[np.floating], columns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared Euclidean distances (N, M) between vectors (N, D) and (M, D)."""
    ours, theirs = rows.astype(np.float64), columns.astype(np.float64)
    squares = np.square(ours).sum(axis=1)[:, None] + np.square(theirs).sum(axis=1)[None, :]
    return np.asarray(squares - 2 * (ours @ theirs.T), np.float64)
