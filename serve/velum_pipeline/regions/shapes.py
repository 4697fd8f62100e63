"""Strength maps: how strongly each pixel about an object is anonymized.

"Box grown by g" means a box about the same centre, 1 + g times as wide and as high (contract v1, the gradient
parameters). For a pixel, the growth at which the grown shape first reaches it, from its point nearest to the centre, is
one number per axis; faces take the Euclidean norm of the two (the box padded by a quarter of an ellipse at every
corner), everything else the larger of them (a box). Strength falls linearly from full at ``stop`` to nothing at
``start``. Every pixel that the object's own box touches has growth 0 and so full strength.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled, inner
from velum_pipeline.options import ClassOptions

Strength: TypeAlias = NDArray[np.uint8]
"""(H, W), 0 untouched to 255 fully anonymized."""
Box = tuple[float, float, float, float]
Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels of the picture; what lies between them is never empty."""

MIN_EXTENT = 1.0
"""Pixels; a thinner box still covers the pixel it lies in."""
HORIZON = 1e-6
"""The least depth, where that of the quadrilateral is about 1: what lies at or behind the horizon is far outside."""
STEEP = 1e-6
"""Growth; a shorter gradient is an edge."""
SQUARE = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)


def rounded(window: Window, box: Box, options: ClassOptions) -> Strength:
    """Strength in the window of a box padded elliptically."""
    return _box(window, box, 0.0, float(options.gradient_start), float(options.gradient_stop), True)


def boxed(window: Window, box: Box, margin: float, options: ClassOptions) -> Strength:
    """Strength in the window of a box padded by a box. ``margin``: growth that counts as inside."""
    return _box(window, box, float(margin), float(options.gradient_start), float(options.gradient_stop), False)


def quad(corners: NDArray[np.float32], window: Window, margin: float, options: ClassOptions) -> Strength:
    """Strength in the window of a quadrilateral (4, 2), clockwise, padded in its own perspective.

    ``margin`` is growth that counts as inside, for the error of the corners themselves. The quadrilateral is mapped to
    the square -1..1, where growth is measured as for a box.
    """
    local = np.asarray(corners - np.array(window[:2], np.float64), np.float32)
    turn = np.asarray(cv2.getPerspectiveTransform(local, SQUARE), np.float64)
    turn *= np.sign(turn[2] @ (*local[0], 1.0))  # the plate lies before the eye: its depth is positive
    width, height = window[2] - window[0], window[3] - window[1]
    return _quad(turn, width, height, float(margin), float(options.gradient_start), float(options.gradient_stop))


@compiled
def _box(window: Window, box: Box, margin: float, start: float, stop: float, elliptic: bool) -> Strength:
    across = _growth(window[2] - window[0], window[0], box[0], box[2], margin)
    down = _growth(window[3] - window[1], window[1], box[1], box[3], margin)
    strength = np.empty((down.size, across.size), np.uint8)
    beside = np.empty(across.size, np.uint8)
    for column in range(across.size):
        beside[column] = _level(across[column], start, stop)
    for row in range(down.size):
        line = strength[row]
        if elliptic and down[row] > 0:
            for column in range(across.size):
                line[column] = _level(math.sqrt(across[column] ** 2 + down[row] ** 2), start, stop)
        else:
            above = _level(down[row], start, stop)
            for column in range(across.size):
                line[column] = beside[column] if beside[column] < above else above
    return strength


@compiled
def _quad(turn: NDArray[np.float64], width: int, height: int, margin: float, start: float, stop: float) -> Strength:
    strength = np.empty((height, width), np.uint8)
    for row in range(height):
        line = strength[row]
        v = row + 0.5
        for column in range(width):
            u = column + 0.5
            x = turn[0, 0] * u + turn[0, 1] * v + turn[0, 2]
            y = turn[1, 0] * u + turn[1, 1] * v + turn[1, 2]
            depth = max(turn[2, 0] * u + turn[2, 1] * v + turn[2, 2], HORIZON)
            grown = max(abs(x), abs(y)) / depth - (1 + margin)
            line[column] = _level(max(grown, 0.0), start, stop)
    return strength


@inner
def _growth(length: int, start: int, low: float, high: float, margin: float) -> NDArray[np.float64]:
    """For ``length`` pixels from ``start`` on one axis, the growth at which the interval (low, high) reaches each."""
    half = max(high - low, MIN_EXTENT) / 2
    middle, inside = (low + high) / 2 - start - 0.5, 0.5 + half * (1 + margin)
    grown = np.empty(length, np.float64)
    for pixel in range(length):
        grown[pixel] = max(abs(pixel - middle) - inside, 0.0) / half
    return grown


@inner
def _level(grown: float, start: float, stop: float) -> np.uint8:
    if start - stop < STEEP:
        return np.uint8(255) if grown <= stop else np.uint8(0)
    return np.uint8(min(max((start - grown) * (255 / (start - stop)) + 0.5, 0.0), 255.0))
