"""Which corners of a plate may be believed, beside its box.

A network that guesses corners guesses some of them wrong, and what is hidden then is not the plate. A box without
corners is hidden as a whole, so corners count only where nothing speaks against them. They are judged here, before
several looks' corners are averaged: one absurd set would spoil the mean of good ones. ``velum_pipeline.regions.quads``
judges the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Floats

STRAY = 0.15
"""Of the box's side: how far outside the box a corner may lie. Detectors place corners within about 5 % of the width,
and boxes are off by about a tenth."""
MIN_IOU = 0.6
"""IoU of the box about the corners with the detected one. The corners' head and the box's say one thing or are wrong;
two boxes that miss each other by an eighth of both sides still have it."""


def believed(corners: Floats, boxes: Floats) -> Floats:
    """The corners (N, 4, 2), NaN in all rows that cannot be a plate's in its box (N, 4).

    Corners are clockwise in the picture, whose y points down. They are kept where all are finite, make a convex
    quadrilateral in that order, lie in the box grown by STRAY on each side, and span a box with an IoU of MIN_IOU.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        good = _finite(corners) & _convex(corners) & _near(corners, boxes) & (_iou(corners, boxes) >= MIN_IOU)
    return np.where(good[:, None, None], corners, np.float32(np.nan))


def _finite(corners: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(corners).all(axis=(1, 2)), np.bool_)


def _convex(corners: Floats) -> NDArray[np.bool_]:
    """Whether each side turns right, and all four together once around: four right turns of a plane make no more."""
    sides = np.roll(corners, -1, axis=1) - corners
    following = np.roll(sides, -1, axis=1)
    turns = sides[..., 0] * following[..., 1] - sides[..., 1] * following[..., 0]
    return np.asarray((turns > 0).all(axis=1), np.bool_)


def _near(corners: Floats, boxes: Floats) -> NDArray[np.bool_]:
    margin = STRAY * (boxes[:, 2:] - boxes[:, :2])
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    return np.asarray(((corners >= low[:, None]) & (corners <= high[:, None])).all(axis=(1, 2)), np.bool_)


def _iou(corners: Floats, boxes: Floats) -> NDArray[np.floating]:
    low, high = corners.min(axis=1), corners.max(axis=1)
    shared = np.maximum(np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2]), 0).prod(axis=1)
    areas = (high - low).prod(axis=1) + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float32)
