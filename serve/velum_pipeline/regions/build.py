"""One region per detection, by the object's class and what the detector knew about it.

* face: the box, padded elliptically, at full strength up to a margin whatever gradient is asked for. Not the ellipse in
  the box: what it leaves of the box's corners would tell whose face it is.
* license-plate: the quadrilateral of its corners, padded in perspective, where a plate can look like that. Where it
  hardly can, together with the box, padded. Where corners are unknown or absurd, the box alone.
* person, vehicle: the segment, slightly widened; the box where there is none, or one too small to be the object.

``bbox`` makes every shape a box. Gradients belong to faces and plates alone (contract v1 names no others), so that
persons and vehicles end at their outline. ``ignores`` are cut out last, whatever the shape.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, Mask
from velum_pipeline.options import ClassOptions, Ignore, ObjectClass, Options
from velum_pipeline.regions import quads, shapes
from velum_pipeline.regions.region import Region
from velum_pipeline.regions.shapes import Box, Window

QUAD_MARGIN = 0.15
"""Growth of a plate's quadrilateral that counts as plate.

Plate detectors place corners within about 5 % of the width.
"""
FACE_MARGIN = 0.2
"""Growth of a face's box that counts as face, whatever gradient is asked for.

Detectors' boxes fall short of labelled ones: of 325 matched faces the box alone covered 88 % on average, and of the
worst tenth 72 %; grown by so much it covers 96 and 87 % (street pack; a face taken as the ellipse in its labelled box).
What it falls short of would show through the gradient, and its owner can be told by that (docs/security.md).
"""
BOX_MARGIN = 0.1
"""Growth of a plate's box that counts as plate.

Boxes of plates end at the characters as often as at the frame; two thirds of QUAD_MARGIN, because a box is already
larger than the plate in it wherever that is turned.
"""
SEGMENT_MARGIN = 0.02
"""Of the object's longer side.

How far segments are widened, because their edges are as coarse as the network's grid.
"""

Placed = tuple[int, int, NDArray[np.uint8]]
"""x, y of the upper left pixel, and the strength from there on."""


def build(detections: Detections, options: Options, width: int, height: int) -> list[Region | None]:
    """The region of every detection in a width x height picture, in their order.

    None where nothing of it is left to anonymize.
    """
    settings = {object_class: _settings(object_class, options) for object_class in options.classes}
    boxes = detections.boxes.tolist()  # plain numbers: four of them are faster in Python than in an array
    return [
        _region(detections, row, tuple(boxes[row]), settings[detections.classes[row]], options, width, height)
        for row in range(len(detections))
    ]


def _region(
    detections: Detections, row: int, box: Box, settings: ClassOptions, options: Options, width: int, height: int
) -> Region | None:
    object_class = detections.classes[row]
    mask = detections.masks[row] if detections.masks else None
    outlined = not options.bbox and not object_class.relative_kernel
    own = detections.boxes[row]
    segment = outlined and mask is not None and mask.plausible(own) and mask.reaches(own)
    if segment and mask is not None:
        x, y, strength = _segment_strength(mask, box, width, height)
    elif object_class is ObjectClass.LICENSE_PLATE:
        corners = detections.corners[row] if detections.corners is not None and not options.bbox else None
        x, y, strength = _plate_strength(box, corners, settings, width, height)
    else:
        window = _grown(box, settings.gradient_start, width, height)
        round_off = object_class is ObjectClass.FACE and not options.bbox
        x, y = window[:2]
        strength = shapes.rounded(window, box, settings) if round_off else shapes.boxed(window, box, 0.0, settings)
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
        object_width=box[2] - box[0],
        object_height=box[3] - box[1],
        segment=segment,
    )


def _settings(object_class: ObjectClass, options: Options) -> ClassOptions:
    settings = options.classes[object_class]
    if object_class is ObjectClass.FACE:
        stop = max(settings.gradient_stop, FACE_MARGIN)
        return replace(settings, gradient_start=max(settings.gradient_start, stop), gradient_stop=stop)
    if object_class.relative_kernel:
        return settings
    return ClassOptions(settings.threshold, settings.kernel, gradient_start=0.0, gradient_stop=0.0)


def _plate_strength(
    box: Box, corners: NDArray[np.float32] | None, settings: ClassOptions, width: int, height: int
) -> Placed:
    around = _grown(box, settings.gradient_start + BOX_MARGIN, width, height)
    if corners is None or not quads.fits(points := corners.tolist(), box):
        return *around[:2], shapes.boxed(around, box, BOX_MARGIN, settings)
    x1, y1, x2, y2 = own = _grown(quads.extent(points), settings.gradient_start + QUAD_MARGIN, width, height)
    if quads.plausible(points, box):
        return x1, y1, shapes.quad(corners, own, QUAD_MARGIN, settings)
    both = min(x1, around[0]), min(y1, around[1]), max(x2, around[2]), max(y2, around[3])
    turned = shapes.quad(corners, both, QUAD_MARGIN, settings)
    return *both[:2], np.maximum(turned, shapes.boxed(both, box, BOX_MARGIN, settings))


def _grown(box: Box, growth: float, width: int, height: int) -> Window:
    """The pixels that a box grown by ``growth`` touches, inside the picture; at least one."""
    pad_x = max(box[2] - box[0], shapes.MIN_EXTENT) * growth / 2
    pad_y = max(box[3] - box[1], shapes.MIN_EXTENT) * growth / 2
    x1 = min(max(math.floor(box[0] - pad_x), 0), width - 1)
    y1 = min(max(math.floor(box[1] - pad_y), 0), height - 1)
    x2 = min(max(math.ceil(box[2] + pad_x), x1 + 1), width)
    y2 = min(max(math.ceil(box[3] + pad_y), y1 + 1), height)
    return x1, y1, x2, y2


def _segment_strength(mask: Mask, box: Box, width: int, height: int) -> Placed:
    """A widened mask inside the picture, at full strength, without holes: a network may miss a face in a person."""
    margin = max(1, math.ceil(SEGMENT_MARGIN * max(box[2] - box[0], box[3] - box[1])))
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
    outlines, _ = cv2.findContours(bits, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(bits, outlines, -1, 1, cv2.FILLED)
    # By distance and not by dilation, whose cost grows with the margin: 22 ms against 1.3 s for an object of 4000 px.
    distance = cv2.distanceTransform(1 - bits, cv2.DIST_L2, cv2.DIST_MASK_5)
    return x1, y1, np.multiply(distance <= margin + 0.5, 255, dtype=np.uint8)


def _cut(strength: NDArray[np.uint8], x: int, y: int, ignore: Ignore) -> None:
    top, left = max(ignore.y - y, 0), max(ignore.x - x, 0)
    bottom, right = max(ignore.y + ignore.height - y, 0), max(ignore.x + ignore.width - x, 0)
    strength[top:bottom, left:right] = 0
