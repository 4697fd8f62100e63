"""Strength maps: how strongly each pixel about an object is anonymized.

"Box grown by g" means a box about the same centre, 1 + g times as wide and as high (contract v1, the gradient
parameters). For a pixel, the growth at which the grown shape first reaches it, from its point nearest to the centre, is
one number per axis; faces take the Euclidean norm of the two (the box padded by a quarter of an ellipse at every
corner), everything else the larger of them (a box). Strength falls linearly from full at ``stop`` to nothing at
``start``. Every pixel that the object's own box touches has growth 0 and so full strength.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ClassOptions

MIN_EXTENT = 1.0
"""Pixels; a thinner box still covers the pixel it lies in."""


def growth(length: int, start: int, low: float, high: float) -> NDArray[np.float32]:
    """For ``length`` pixels from ``start`` on one axis, the growth at which the interval (low, high) reaches each.

    Float32 (length,).
    """
    half = max(high - low, MIN_EXTENT) / 2
    centres = np.arange(start, start + length, dtype=np.float32) + np.float32(0.5)
    nearest = np.abs(centres - np.float32((low + high) / 2)) - np.float32(0.5)
    return np.asarray(np.maximum(nearest / np.float32(half) - 1, 0), np.float32)


def rounded(across: NDArray[np.float32], down: NDArray[np.float32], options: ClassOptions) -> NDArray[np.uint8]:
    """Strength of a box padded elliptically, from the growth of columns (w,) and rows (h,); uint8 (h, w).

    Straight above, below and beside the box it is the padded box's; only the corners need the norm.
    """
    strength = boxed(across, down, options)
    columns, rows = np.flatnonzero(across), np.flatnonzero(down)
    corners = np.sqrt(np.square(across[columns])[None, :] + np.square(down[rows])[:, None])
    strength[rows[:, None], columns] = _strength(corners, options)
    return strength


def boxed(across: NDArray[np.float32], down: NDArray[np.float32], options: ClassOptions) -> NDArray[np.uint8]:
    """Strength of a box padded by a box, from the growth of columns (w,) and rows (h,); uint8 (h, w)."""
    return np.minimum(_strength(across, options)[None, :], _strength(down, options)[:, None])


def quad(
    corners: NDArray[np.float32], x: int, y: int, width: int, height: int, margin: float, options: ClassOptions
) -> NDArray[np.uint8]:
    """Strength of a quadrilateral (4, 2), clockwise, padded in its own perspective; uint8 (height, width) from pixel
    (x, y) on.

    ``margin`` is growth that counts as inside, for the error of the corners themselves. The quadrilateral is mapped to
    the square -1..1, where growth is measured as for a box.
    """
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32), square)
    columns = np.arange(x, x + width, dtype=np.float64) + 0.5
    rows = np.arange(y, y + height, dtype=np.float64)[:, None] + 0.5
    depth = turn[2, 0] * columns + turn[2, 1] * rows + turn[2, 2]
    behind = depth <= 0
    depth = np.where(behind, 1.0, depth)
    u = np.abs(turn[0, 0] * columns + turn[0, 1] * rows + turn[0, 2]) / depth
    v = np.abs(turn[1, 0] * columns + turn[1, 1] * rows + turn[1, 2]) / depth
    grown = np.where(behind, np.inf, np.maximum(np.maximum(u, v) - 1 - margin, 0))
    return _strength(grown.astype(np.float32), options)


def _strength(grown: NDArray[np.float32], options: ClassOptions) -> NDArray[np.uint8]:
    start, stop = options.gradient_start, options.gradient_stop
    if start - stop < 1e-6:
        return np.where(grown <= stop, 255, 0).astype(np.uint8)
    slope = 255 / (start - stop)
    falling = grown * np.float32(-slope)
    falling += np.float32(start * slope + 0.5)
    np.maximum(falling, 0, out=falling)
    np.minimum(falling, 255, out=falling)
    return falling.astype(np.uint8)
