"""Labelled objects, cut out of their pictures so that they can be pasted into others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.coverage import outline
from evaluation.sets import LabelledObject, LabelledSet
from velum_pipeline.options import ObjectClass

Box = tuple[float, float, float, float]

CONTEXT = {ObjectClass.FACE: 0.45, ObjectClass.LICENSE_PLATE: 0.35, ObjectClass.PERSON: 0.08, ObjectClass.VEHICLE: 0.05}
"""Of the box, what is taken on each side: a face without hair and a plate without bumper look like nothing known."""
FEATHER = 0.12
"""Of the crop's shorter side: the width of the soft edge."""
SMALLEST = {ObjectClass.FACE: 40.0}
"""Pixels, the side of the square of the same area. Smaller faces would have to be blown up to be seen near."""
LEAST = 56.0
"""The same for other classes."""


@dataclass(frozen=True)
class Crop:
    """An object with what is around it.

    pixels: BGR uint8 (H, W, 3). alpha: float32 (H, W), how much of each pixel is pasted. box: the labelled box in the
    crop's pixels. truth: bool (H, W), the pixels that must be hidden.
    """

    name: str
    object_class: ObjectClass
    pixels: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    box: Box
    truth: NDArray[np.bool_]

    @property
    def size(self) -> float:
        """The side of the square that has the box's area, in the crop's pixels."""
        return box_size(self.box)


def box_size(box: Box) -> float:
    """The side of the square that has the box's area."""
    return float(np.sqrt(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])))


def find_crops(sets: Sequence[LabelledSet], wanted: ObjectClass) -> list[Crop]:
    """All objects of a class that are large enough and lie whole in their picture, in the sets' order.

    Raises SetInvalid for a picture that cannot be read.
    """
    found = []
    for labelled in sets:
        for picture in labelled.pictures:
            usable = [item for item in picture.objects if item.object_class is wanted and _usable(item)]
            if not usable:
                continue
            pixels = labelled.pixels(picture)
            rows = [item for item in usable if _whole(item.box, pixels.shape[1], pixels.shape[0])]
            found += [
                crop(pixels, item, f"{labelled.name}/{picture.file}#{number}") for number, item in enumerate(rows)
            ]
    return found


def crop(pixels: NDArray[np.uint8], item: LabelledObject, name: str) -> Crop:
    """One object out of a picture, BGR uint8 (H, W, 3)."""
    x1, y1, x2, y2 = item.box
    across, down = (CONTEXT[item.object_class] * side for side in (x2 - x1, y2 - y1))
    left, top = max(0, int(x1 - across)), max(0, int(y1 - down))
    right, bottom = min(pixels.shape[1], int(x2 + across) + 1), min(pixels.shape[0], int(y2 + down) + 1)
    cut = np.ascontiguousarray(pixels[top:bottom, left:right])
    box = (x1 - left, y1 - top, x2 - left, y2 - top)
    height, width = cut.shape[:2]
    polygons = [points - (left, top) for points in item.polygons]
    if polygons:
        truth = outline(polygons, width, height)
        alpha = _grown(truth)
    else:
        truth = _inside(item.object_class, box, width, height)
        alpha = _soft(width, height, rounded=item.object_class is ObjectClass.FACE)
    return Crop(name, item.object_class, cut, alpha, box, truth)


def _usable(item: LabelledObject) -> bool:
    return not item.ignore and box_size(item.box) >= SMALLEST.get(item.object_class, LEAST)


def _whole(box: Box, width: int, height: int) -> bool:
    """Whether the box stays off the picture's edge: what is cut off there is no whole object."""
    return box[0] >= 2 and box[1] >= 2 and box[2] <= width - 2 and box[3] <= height - 2


def _inside(object_class: ObjectClass, box: Box, width: int, height: int) -> NDArray[np.bool_]:
    """Without an outline: of a face the ellipse in its box, since a box's corners are no face; else all of the box."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    if object_class is not ObjectClass.FACE:
        return np.asarray((x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3]))
    across, down = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    return np.asarray(((x - box[0]) / across - 1) ** 2 + ((y - box[1]) / down - 1) ** 2 <= 1)


def _grown(truth: NDArray[np.bool_]) -> NDArray[np.float32]:
    """An outline, softened outwards and inwards by about a pixel and a half."""
    soft = cv2.GaussianBlur(cv2.dilate(truth.astype(np.float32), np.ones((3, 3))), (5, 5), 0)
    return np.asarray(soft, np.float32)


def _soft(width: int, height: int, *, rounded: bool) -> NDArray[np.float32]:
    """The whole crop, fading over FEATHER towards its edges; rounded: towards the ellipse in it."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width * 2 - 1, (np.arange(height) + 0.5) / height * 2 - 1)
    out = np.hypot(x, y) if rounded else np.maximum(np.abs(x), np.abs(y))
    return np.asarray(np.clip((1 - out) / (2 * FEATHER), 0, 1), np.float32)
