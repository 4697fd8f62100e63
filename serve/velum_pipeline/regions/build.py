"""One region per detection, by the object's class and what the detector knew about it.

face            the box, padded elliptically
license-plate   the quadrilateral of its corners, padded in perspective; the box, padded, where corners are unknown or
absurd person, vehicle the segment, slightly widened; the box where there is none ``bbox`` makes every shape a box.
Gradients belong to faces and plates alone (contract v1 names no others), so that persons and vehicles end at their
outline. ``ignores`` are cut out last, whatever the shape.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, Floats, Mask
from velum_pipeline.options import ClassOptions, Ignore, ObjectClass, Options
from velum_pipeline.regions import shapes
from velum_pipeline.regions.region import Region

QUAD_MARGIN = 0.15
"""Growth of a plate's quadrilateral that counts as plate.

Plate detectors place corners within about 5 % of the width.
"""
QUAD_MIN_AREA = 0.35
"""A quadrilateral that covers less of its box than this is a bad guess: a plate turned by 45 degrees and four times as
wide as high covers 0.32, but its box is nearly square and then safer anyway."""
QUAD_MIN_OVERLAP = 0.7
"""Share of the box that the quadrilateral's own bounding box must cover, and the other way round."""
SEGMENT_MARGIN = 0.02
"""Of the object's longer side.

How far segments are widened, because their edges are as coarse as the network's grid.
"""


def build(detections: Detections, options: Options, width: int, height: int) -> list[Region | None]:
    """The region of every detection in a width x height picture, in their order.

    None where nothing of it is left to anonymize.
    """
    return [_region(detections, row, options, width, height) for row in range(len(detections))]


def _region(detections: Detections, row: int, options: Options, width: int, height: int) -> Region | None:
    object_class = detections.classes[row]
    box = detections.boxes[row]
    settings = _settings(object_class, options)
    mask = detections.masks[row] if detections.masks else None
    segment = mask is not None and not options.bbox and not object_class.relative_kernel
    if segment and mask is not None:
        x, y, strength = _segment_strength(mask, box, width, height)
    else:
        x, y, strength = _shape_strength(detections, row, settings, options.bbox, width, height)
    for ignore in options.ignores:
        _cut(strength, x, y, ignore)
    if not strength.any():
        return None
    return Region(
        detection=row,
        object_class=object_class,
        options=settings,
        x=x,
        y=y,
        strength=strength,
        object_width=float(box[2] - box[0]),
        object_height=float(box[3] - box[1]),
        segment=segment,
    )


def _settings(object_class: ObjectClass, options: Options) -> ClassOptions:
    settings = options.classes[object_class]
    if object_class.relative_kernel:
        return settings
    return ClassOptions(settings.threshold, settings.kernel, gradient_start=0.0, gradient_stop=0.0)


def _shape_strength(
    detections: Detections, row: int, settings: ClassOptions, bbox: bool, width: int, height: int
) -> tuple[int, int, NDArray[np.uint8]]:
    object_class, box = detections.classes[row], detections.boxes[row]
    corners = detections.corners[row] if detections.corners is not None else None
    use_quad = (
        object_class is ObjectClass.LICENSE_PLATE and not bbox and corners is not None and _plausible(corners, box)
    )
    if use_quad and corners is not None:
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    margin = QUAD_MARGIN if use_quad else 0.0
    x1, y1, x2, y2 = _grown(box, settings.gradient_start + margin, width, height)
    if use_quad and corners is not None:
        return x1, y1, shapes.quad(corners, x1, y1, x2 - x1, y2 - y1, margin, settings)
    across = shapes.growth(x2 - x1, x1, float(box[0]), float(box[2]))
    down = shapes.growth(y2 - y1, y1, float(box[1]), float(box[3]))
    shape = shapes.rounded if object_class is ObjectClass.FACE and not bbox else shapes.boxed
    return x1, y1, shape(across, down, settings)


def _grown(box: Floats, growth: float, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that a box grown by ``growth`` touches, inside the picture; at least one."""
    pad_x = max(float(box[2] - box[0]), shapes.MIN_EXTENT) * growth / 2
    pad_y = max(float(box[3] - box[1]), shapes.MIN_EXTENT) * growth / 2
    x1 = min(max(math.floor(box[0] - pad_x), 0), width - 1)
    y1 = min(max(math.floor(box[1] - pad_y), 0), height - 1)
    x2 = min(max(math.ceil(box[2] + pad_x), x1 + 1), width)
    y2 = min(max(math.ceil(box[3] + pad_y), y1 + 1), height)
    return x1, y1, x2, y2


def _plausible(corners: NDArray[np.floating[Any]], box: Floats) -> bool:
    """Whether four corners are a convex clockwise quadrilateral that fits its box."""
    if not np.isfinite(corners).all():
        return False
    corners = corners.astype(np.float64)
    edges = np.roll(corners, -1, axis=0) - corners
    following = np.roll(edges, -1, axis=0)
    turns = edges[:, 0] * following[:, 1] - edges[:, 1] * following[:, 0]
    if not (turns > 0).all():
        return False
    box_area = float((box[2] - box[0]) * (box[3] - box[1]))
    low, high = corners.min(axis=0), corners.max(axis=0)
    own_area = float(np.prod(high - low))
    shared = np.minimum(high, box[2:]) - np.maximum(low, box[:2])
    overlap = float(np.prod(np.maximum(shared, 0)))
    if min(box_area, own_area) <= 0 or overlap < QUAD_MIN_OVERLAP * max(box_area, own_area):
        return False
    return float(cv2.contourArea(corners.astype(np.float32))) >= QUAD_MIN_AREA * box_area


def _segment_strength(mask: Mask, box: Floats, width: int, height: int) -> tuple[int, int, NDArray[np.uint8]]:
    """A widened mask inside the picture, at full strength. An empty mask is a failed one: its box is used instead."""
    margin = max(1, math.ceil(SEGMENT_MARGIN * float(max(box[2] - box[0], box[3] - box[1]))))
    x1, y1 = max(mask.x - margin, 0), max(mask.y - margin, 0)
    x2, y2 = (
        min(mask.x + mask.bits.shape[1] + margin, width),
        min(mask.y + mask.bits.shape[0] + margin, height),
    )
    bits = np.zeros((max(y2 - y1, 0), max(x2 - x1, 0)), np.uint8)
    inside = mask.bits[max(y1 - mask.y, 0) : max(y2 - mask.y, 0), max(x1 - mask.x, 0) : max(x2 - mask.x, 0)]
    top, left = max(mask.y - y1, 0), max(mask.x - x1, 0)
    inside = inside[: bits.shape[0] - top, : bits.shape[1] - left]
    bits[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    if not bits.any():
        x1, y1, x2, y2 = _grown(box, 0.0, width, height)
        return x1, y1, np.full((y2 - y1, x2 - x1), 255, np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return x1, y1, np.asarray(cv2.dilate(bits, kernel) * 255, np.uint8)


def _cut(strength: NDArray[np.uint8], x: int, y: int, ignore: Ignore) -> None:
    top, left = max(ignore.y - y, 0), max(ignore.x - x, 0)
    bottom, right = max(ignore.y + ignore.height - y, 0), max(ignore.x + ignore.width - x, 0)
    strength[top:bottom, left:right] = 0
