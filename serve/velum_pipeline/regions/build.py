"""One region per detection, by the object's class and what the detector knew about it.

* face: the box, padded elliptically.
* license-plate: the quadrilateral of its corners, padded in perspective, where a plate can look like that. Where it
  hardly can, together with the box, padded. Where corners are unknown or absurd, the box alone.
* person, vehicle: the segment, slightly widened; the box where there is none, or one too small to be the object.

``bbox`` makes every shape a box. Gradients belong to faces and plates alone (contract v1 names no others), so that
persons and vehicles end at their outline. ``ignores`` are cut out last, whatever the shape.
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
QUAD_MAX_ANGLE = 0.12
"""Sine of the angle between the long sides, 7 degrees.

Perspective makes a plate's sides meet, but from where its characters can be read hardly more than that; a quadrilateral
that is a wedge has a corner in the wrong place and would leave part of the plate out.
"""
QUAD_MAX_ASPECT = 7.0
"""Longer by shorter sides. The widest plates are 4.7 times as wide as high, seen from 45 degrees above 6.7 times."""
BOX_MARGIN = 0.1
"""Growth of a plate's box that counts as plate.

Boxes of plates end at the characters as often as at the frame; two thirds of QUAD_MARGIN, because a box is already
larger than the plate in it wherever that is turned.
"""
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
    segment = mask is not None and not options.bbox and not object_class.relative_kernel and mask.plausible(box)
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
    if object_class is not ObjectClass.LICENSE_PLATE:
        shape = shapes.rounded if object_class is ObjectClass.FACE and not bbox else shapes.boxed
        window = _grown(box, settings.gradient_start, width, height)
        return *window[:2], shape(*_growths(box, window), settings)
    corners = detections.corners[row] if detections.corners is not None and not bbox else None
    return _plate_strength(box, corners, settings, width, height)


def _plate_strength(
    box: Floats, corners: NDArray[np.float32] | None, settings: ClassOptions, width: int, height: int
) -> tuple[int, int, NDArray[np.uint8]]:
    around = _grown(box, settings.gradient_start + BOX_MARGIN, width, height)
    if corners is None or not _fits(corners, box):
        return *around[:2], _plate_box(box, around, settings)
    extent = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    x1, y1, x2, y2 = _grown(extent, settings.gradient_start + QUAD_MARGIN, width, height)
    if _plausible(corners, box):
        return x1, y1, shapes.quad(corners, x1, y1, x2 - x1, y2 - y1, QUAD_MARGIN, settings)
    x1, y1, x2, y2 = min(x1, around[0]), min(y1, around[1]), max(x2, around[2]), max(y2, around[3])
    turned = shapes.quad(corners, x1, y1, x2 - x1, y2 - y1, QUAD_MARGIN, settings)
    return x1, y1, np.maximum(turned, _plate_box(box, (x1, y1, x2, y2), settings))


def _plate_box(box: Floats, window: tuple[int, int, int, int], settings: ClassOptions) -> NDArray[np.uint8]:
    across, down = (np.maximum(grown - np.float32(BOX_MARGIN), 0) for grown in _growths(box, window))
    return shapes.boxed(across, down, settings)


def _growths(box: Floats, window: tuple[int, int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    x1, y1, x2, y2 = window
    return (
        shapes.growth(x2 - x1, x1, float(box[0]), float(box[2])),
        shapes.growth(y2 - y1, y1, float(box[1]), float(box[3])),
    )


def _grown(box: Floats, growth: float, width: int, height: int) -> tuple[int, int, int, int]:
    """The pixels that a box grown by ``growth`` touches, inside the picture; at least one."""
    pad_x = max(float(box[2] - box[0]), shapes.MIN_EXTENT) * growth / 2
    pad_y = max(float(box[3] - box[1]), shapes.MIN_EXTENT) * growth / 2
    x1 = min(max(math.floor(box[0] - pad_x), 0), width - 1)
    y1 = min(max(math.floor(box[1] - pad_y), 0), height - 1)
    x2 = min(max(math.ceil(box[2] + pad_x), x1 + 1), width)
    y2 = min(max(math.ceil(box[3] + pad_y), y1 + 1), height)
    return x1, y1, x2, y2


def _fits(corners: NDArray[np.floating[Any]], box: Floats) -> bool:
    """Whether four corners are a convex clockwise quadrilateral whose own box is nearly the detected one."""
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
    return min(box_area, own_area) > 0 and overlap >= QUAD_MIN_OVERLAP * max(box_area, own_area)


def _plausible(corners: NDArray[np.floating[Any]], box: Floats) -> bool:
    """Whether a plate can look like a quadrilateral that fits its box: not too thin for it, and no wedge."""
    corners = corners.astype(np.float64)
    if cv2.contourArea(corners.astype(np.float32)) < QUAD_MIN_AREA * float((box[2] - box[0]) * (box[3] - box[1])):
        return False
    top, right, bottom, left = np.roll(corners, -1, axis=0) - corners
    pairs = ((top, -bottom), (right, -left))
    lengths = [sum(float(np.hypot(*side)) for side in pair) for pair in pairs]
    one, other = pairs[0] if lengths[0] >= lengths[1] else pairs[1]
    angle = abs(one[0] * other[1] - one[1] * other[0]) / (np.hypot(*one) * np.hypot(*other))
    return bool(max(lengths) <= QUAD_MAX_ASPECT * min(lengths) and angle <= QUAD_MAX_ANGLE)


def _segment_strength(mask: Mask, box: Floats, width: int, height: int) -> tuple[int, int, NDArray[np.uint8]]:
    """A widened mask inside the picture, at full strength."""
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
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return x1, y1, np.asarray(cv2.dilate(bits, kernel) * 255, np.uint8)


def _cut(strength: NDArray[np.uint8], x: int, y: int, ignore: Ignore) -> None:
    top, left = max(ignore.y - y, 0), max(ignore.x - x, 0)
    bottom, right = max(ignore.y + ignore.height - y, 0), max(ignore.x + ignore.width - x, 0)
    strength[top:bottom, left:right] = 0
