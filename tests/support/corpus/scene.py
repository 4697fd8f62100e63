"""What every picture of the corpus shows: a calm street with one "face", a pattern that occurs nowhere else.

The pattern is a code of black and white cells, so that it is known again at any size, in grey, in eight turns and
through any lossy coding; a region that was anonymized as a face holds nothing that correlates with it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, Any]

WIDTH, HEIGHT = 120, 88
CELLS = 6
CELL = 6
FACE = (50, 26, 50 + CELLS * CELL, 26 + CELLS * CELL)
"""x1, y1, x2, y2 of the pattern in the upright scene."""
CODE = np.array(
    [
        [1, 0, 0, 1, 0, 1],
        [0, 0, 1, 1, 0, 1],
        [1, 1, 0, 0, 1, 0],
        [0, 1, 0, 1, 1, 0],
        [1, 0, 1, 0, 0, 1],
        [0, 1, 1, 0, 1, 0],
    ],
    np.uint8,
)
SIZES = (12, 14, 16, 18, 21, 24, 28, 32, 36, 41, 47, 54, 62)
"""Pixels of the pattern's side at which it is looked for."""
SEEN = 0.62
"""Correlation with the pattern that counts as seeing it. Copies of it reach 0.8, what is blurred stays below 0.5."""


def scene(width: int = WIDTH, height: int = HEIGHT, face: bool = True) -> Array:
    """The upright scene, BGR uint8: smooth colours, a soft texture, and the pattern where it fits."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    base = np.stack(
        [
            90 + 60 * np.sin(columns / 31) + 30 * rows / HEIGHT,
            110 + 50 * np.cos(rows / 23) + 20 * columns / WIDTH,
            120 + 40 * np.sin((rows + columns) / 37),
        ],
        axis=2,
    )
    drawn = np.clip(base + 4 * np.sin(rows * columns / 97)[..., None], 0, 255).astype(np.uint8)
    if face and width >= FACE[2] and height >= FACE[3]:
        drawn[FACE[1] : FACE[3], FACE[0] : FACE[2]] = pattern(CELLS * CELL)[..., None]
    return drawn


def pattern(side: int) -> Array:
    """The code at a size in pixels, grey uint8."""
    return np.asarray(cv2.resize(CODE * 255, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)


def shows_face(pixels: Array) -> bool:
    """Whether the pattern is anywhere in a picture (H, W[, C]), of 8 or 16 bits, in any of eight turns."""
    grey = _grey(pixels)
    if max(grey.shape) > 1.1 * WIDTH:
        scale = 1.1 * WIDTH / max(grey.shape)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = grey + np.random.default_rng(0).normal(0, 1, grey.shape).astype(np.float32)  # nothing correlates with flat
    for side in SIZES:
        if side > min(grey.shape):
            break
        own = pattern(side).astype(np.float32)
        for turned in (own, own.T):
            for quarter in range(4):
                found = cv2.matchTemplate(grey, np.ascontiguousarray(np.rot90(turned, quarter)), cv2.TM_CCOEFF_NORMED)
                if float(found.max()) > SEEN:
                    return True
    return False


def _grey(pixels: Array) -> Array:
    values = pixels.astype(np.float32) / (257 if pixels.dtype == np.uint16 else 1)
    if values.ndim == 2:
        return values
    if values.shape[2] in (2, 4):  # opacity can show the pattern as well as colours
        values = values[..., :-1] * (values[..., -1:] / 255) + 128 * (1 - values[..., -1:] / 255)
    return np.ascontiguousarray(values.mean(axis=2))
