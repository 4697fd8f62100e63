"""Strength maps: how strongly each pixel about an object is anonymized.

"Box grown by g" means a box about the same centre, 1 + g times as wide and as high (contract v1, the gradient
parameters). For a pixel, the growth at which the grown shape first reaches it, from its point nearest to the centre, is
one number per axis; faces take the Euclidean norm of the two (the box padded by a quarter of an ellipse at every
corner), everything else the larger of them (a box). Strength falls linearly from full at ``stop`` to nothing at
``start``. Every pixel that the object's own box touches has growth 0 and so full strength.

An axis is a hundred numbers, a picture of many objects has twenty axes: what counts is the number of numpy calls.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ClassOptions

Doubles: TypeAlias = NDArray[np.float64]

MIN_EXTENT = 1.0
"""Pixels; a thinner box still covers the pixel it lies in."""
HORIZON = 1e-6
"""The least depth, where that of the quadrilateral is about 1: what lies at or behind the horizon is far outside."""


def growth(length: int, start: int, low: float, high: float, margin: float = 0.0) -> Doubles:
    """For ``length`` pixels from ``start`` on one axis, the growth at which the interval (low, high) reaches each.

    Float64 (length,). ``margin``: growth that counts as inside.
    """
    half = max(high - low, MIN_EXTENT) / 2
    grown = np.arange(length, dtype=np.float64)
    grown -= (low + high) / 2 - start - 0.5
    np.abs(grown, out=grown)
    grown -= 0.5 + half * (1 + margin)
    np.maximum(grown, 0, out=grown)
    grown /= half
    return grown


def rounded(across: Doubles, down: Doubles, options: ClassOptions) -> NDArray[np.uint8]:
    """Strength of a box padded elliptically, from the growth of columns (w,) and rows (h,); uint8 (h, w).

    Straight above, below and beside the box it is the padded box's; only the corners need the norm.
    """
    strength = boxed(across, down, options)
    left, right = _inner(across)
    top, bottom = _inner(down)
    columns, rows = np.concatenate((across[:left], across[right:])), np.concatenate((down[:top], down[bottom:]))
    corners = _strength(np.sqrt(np.square(columns) + np.square(rows)[:, None]), options)
    strength[:top, :left], strength[:top, right:] = corners[:top, :left], corners[:top, left:]
    strength[bottom:, :left], strength[bottom:, right:] = corners[top:, :left], corners[top:, left:]
    return strength


def boxed(across: Doubles, down: Doubles, options: ClassOptions) -> NDArray[np.uint8]:
    """Strength of a box padded by a box, from the growth of columns (w,) and rows (h,); uint8 (h, w)."""
    both = _strength(np.concatenate((across, down)), options)
    return np.minimum(both[None, : len(across)], both[len(across) :, None])


def quad(
    corners: NDArray[np.float32], x: int, y: int, width: int, height: int, margin: float, options: ClassOptions
) -> NDArray[np.uint8]:
    """Strength of a quadrilateral (4, 2), clockwise, padded in its own perspective; uint8 (height, width) from pixel
    (x, y) on.

    ``margin`` is growth that counts as inside, for the error of the corners themselves. The quadrilateral is mapped to
    the square -1..1, where growth is measured as for a box.
    """
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    local = np.asarray(corners - np.array([x, y], np.float64), np.float32)
    turn = cv2.getPerspectiveTransform(local, square)
    turn *= np.sign(turn[2] @ (*local[0], 1.0))  # the plate lies before the eye: its depth is positive
    columns = turn[:, :1] * (np.arange(width) + 0.5)
    rows = turn[:, 1:2] * (np.arange(height) + 0.5) + turn[:, 2:]
    u, v, depth = rows.astype(np.float32)[:, :, None] + columns.astype(np.float32)[:, None, :]
    np.abs(u, out=u)
    np.abs(v, out=v)
    np.maximum(u, v, out=u)
    np.maximum(depth, HORIZON, out=depth)
    u /= depth
    u -= np.float32(1 + margin)
    np.maximum(u, 0, out=u)
    return _strength(u, options)


def _inner(grown: Doubles) -> tuple[int, int]:
    """Where the pixels without growth begin and end, or with the least where a box lies outside the picture."""
    return int(grown.argmin()), len(grown) - int(grown[::-1].argmin())


def _strength(grown: NDArray[Any], options: ClassOptions) -> NDArray[np.uint8]:
    start, stop = options.gradient_start, options.gradient_stop
    if start - stop < 1e-6:
        return np.where(grown <= stop, 255, 0).astype(np.uint8)
    slope = 255 / (start - stop)
    falling = grown * -slope
    falling += start * slope + 0.5
    np.maximum(falling, 0, out=falling)
    np.minimum(falling, 255, out=falling)
    return falling.astype(np.uint8)
