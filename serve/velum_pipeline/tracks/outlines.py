"""What a detector knows of an object beyond its box, carried over to frames between two hits that are close together.

Four frames are 0.13 s: a walker's leg then is still where its two outlines together are, grown as the box is. Over
more, an outline tells nothing, and the whole box is covered.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Mask
from velum_pipeline.tracks.nodes import Boxes

CLOSE = 4
"""Frames from one hit to the next between which outlines and corners are carried over."""

Points = NDArray[np.float32]


def between(one: Points, other: Points, share: float, inner: Boxes, growth: float) -> Points:
    """The corners (4, 2), ``share`` of the way from one to the other, grown with their box (4,); NaN stays NaN."""
    corners = one.astype(np.float64) * (1 - share) + other.astype(np.float64) * share
    middle, size = (inner[:2] + inner[2:]) / 2, np.maximum(inner[2:] - inner[:2], 1.0)
    grown: Points = (middle + (corners - middle) * (size + 2 * growth) / size).astype(np.float32)
    return grown


def both(masks: tuple[Mask, Mask], boxes: tuple[Boxes, Boxes], inner: Boxes, growth: float) -> Mask | None:
    """Both masks, each moved and scaled from its own box (4,) to ``inner`` (4,), then grown by ``growth`` pixels.

    None where nothing is marked.
    """
    radius = math.ceil(growth)
    left, top = (int(value) - radius for value in np.floor(inner[:2]))
    right, bottom = (int(value) + radius for value in np.ceil(inner[2:]))
    canvas = np.zeros((bottom - top, right - left), np.uint8)
    for mask, box in zip(masks, boxes, strict=True):
        _draw(canvas, mask, box, inner - np.array([left, top, left, top]))
    if not canvas.any():
        return None
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return Mask(left, top, cv2.dilate(canvas, disc).astype(np.bool_))


def _draw(canvas: NDArray[np.uint8], mask: Mask, box: Boxes, inner: Boxes) -> None:
    """Mark on the canvas what, scaled from ``box`` to ``inner``, lies under a mark of the mask."""
    sides, wanted = np.maximum(box[2:] - box[:2], 1e-3), np.maximum(inner[2:] - inner[:2], 1e-3)
    height, width = canvas.shape
    columns, rows = (
        np.floor((np.arange(count) + 0.5 - inner[axis]) / wanted[axis] * sides[axis] + box[axis]).astype(np.int64)
        - start
        for axis, (count, start) in enumerate(((width, mask.x), (height, mask.y)))
    )
    across = np.flatnonzero((columns >= 0) & (columns < mask.bits.shape[1]))
    down = np.flatnonzero((rows >= 0) & (rows < mask.bits.shape[0]))
    if len(across) and len(down):
        canvas[np.ix_(down, across)] |= mask.bits[np.ix_(rows[down], columns[across])]
