"""A crop of a labelled picture, with its objects: one affine map, which boxes and corners go through like pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detector.tower import CLASSES
from training.labels.records import Object, Record

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
FILL = 114
NOTHING = {"face": 0.15, "license-plate": 0.4}
"""How often a teacher's doubtful object is background, in a picture in which nobody drew an object of its class."""
STRETCH = 0.12
"""Each axis on its own, log scale: pictures are taken, and stored, with other aspects."""
LARGEST_SCALE = 8.0
SEEN = 0.4
"""An object of which less is left in the crop is neither found nor missed."""
LEAST_FACE, LEAST_PLATE = 5.0, (8.0, 3.0)
"""Pixels below which an object is not asked for: a side of a face; width and height of a plate."""
SHRINK = 0.6
"""Below this scale neighbouring pixels are averaged, as the pipeline does."""


@dataclass(frozen=True)
class Sample:
    """A crop: pixels (H, W, 3) BGR, and its objects.

    classes: (K,) int64, index of CLASSES. boxes: (K, 4). corners: (K, 8), not a number where unknown. ignore: (K,).
    """

    pixels: Pixels
    classes: NDArray[np.int64]
    boxes: Floats
    corners: Floats
    ignore: NDArray[np.bool_]

    def select(self, rows: NDArray[np.bool_]) -> Sample:
        """With only these objects."""
        return Sample(self.pixels, self.classes[rows], self.boxes[rows], self.corners[rows], self.ignore[rows])


def sides_of(target: Object) -> tuple[float, float]:
    """Width and height in pixels of the picture, of what may be a dot."""
    x1, y1, x2, y2 = target.bbox
    return max(x2 - x1, 4.0), max(y2 - y1, 4.0)


def cut(
    record: Record,
    pixels: Pixels,
    size: tuple[int, int],
    scale: float,
    target: Object | None,
    draw: np.random.Generator,
) -> Sample:
    """A crop of ``size`` (width, height) at about this scale, over the target or anywhere."""
    width, height = size
    record = _judged(record, draw)
    scale = float(np.clip(scale, 0.06, LARGEST_SCALE))
    wide, high = (
        max(8, round(side * scale * math.exp(draw.uniform(-STRETCH, STRETCH))))
        for side in (record.width, record.height)
    )
    across, down = wide / record.width, high / record.height
    if target is None:
        x, y = draw.uniform() * (wide - width), draw.uniform() * (high - height)
    else:
        centre_x, centre_y = (target.bbox[0] + target.bbox[2]) / 2, (target.bbox[1] + target.bbox[3]) / 2
        x = centre_x * across - width * draw.uniform(0.2, 0.8)
        y = centre_y * down - height * draw.uniform(0.2, 0.8)
        fills_x, fills_y = sides_of(target)
        if fills_x * across > 0.5 * width or fills_y * down > 0.5 * height:  # large: near the middle, or it is cut
            x = centre_x * across - width * draw.uniform(0.42, 0.58)
            y = centre_y * down - height * draw.uniform(0.42, 0.58)
    x, y = (float(np.clip(v, min(0, room), max(0, room))) for v, room in ((x, wide - width), (y, high - height)))
    offset = np.array([x, y], np.float32)
    return _objects(record, _warped(pixels, (wide, high), offset, size), np.array([across, down], np.float32), offset)


def _judged(record: Record, draw: np.random.Generator) -> Record:
    """The record without some of what teachers doubt in it, so that its place is background in this crop.

    That is so for classes of which nobody drew an object in the picture, as often as `NOTHING` says. The others stay
    neither object nor background: most are nothing, but all left out for good would hide from the tower what it takes
    for plates and must learn to leave.
    """
    drawn = {each.cls for each in record.objects if each.source == "hand"}
    kept = tuple(
        each
        for each in record.objects
        if not each.ignore or each.cls in drawn or draw.random() >= NOTHING.get(each.cls, 0)
    )
    return replace(record, objects=kept)


def _warped(pixels: Pixels, resized: tuple[int, int], offset: Floats, size: tuple[int, int]) -> Pixels:
    """The picture at the ``resized`` size, seen through a window at ``offset``; grey beyond its borders."""
    across, down = resized[0] / pixels.shape[1], resized[1] / pixels.shape[0]
    if min(across, down) < SHRINK:
        pixels = cv2.resize(pixels, resized, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        across = down = 1.0
    # Centres of pixels, not their corners, are what warpAffine maps.
    matrix = np.array([[across, 0, (across - 1) / 2 - offset[0]], [0, down, (down - 1) / 2 - offset[1]]], np.float32)
    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(FILL, FILL, FILL))  # type: ignore[return-value]


def _objects(record: Record, pixels: Pixels, scale: Floats, offset: Floats) -> Sample:
    objects = [each for each in record.objects if each.cls in CLASSES]
    count = len(objects)
    unknown = (math.nan,) * 8
    boxes = np.array([each.bbox for each in objects], np.float32).reshape(count, 4)
    corners = np.array([each.corners or unknown for each in objects], np.float32).reshape(count, 8)
    boxes = boxes * np.tile(scale, 2) - np.tile(offset, 2)
    corners = corners * np.tile(scale, 4) - np.tile(offset, 4)
    whole = _area(boxes)
    height, width = pixels.shape[:2]
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    left = _area(boxes)
    classes = np.array([CLASSES.index(each.cls) for each in objects], np.int64)
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    small = np.where(
        classes == CLASSES.index("face"),
        np.minimum(wide, high) < LEAST_FACE,
        (wide < LEAST_PLATE[0]) | (high < LEAST_PLATE[1]),
    )
    corners[left < 0.98 * whole] = math.nan  # beyond the crop there is nothing to learn a corner from
    ignore = np.array([each.ignore for each in objects], np.bool_) | (left < SEEN * whole) | small
    return Sample(pixels, classes, boxes, corners, ignore).select(left > 4)


def _area(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.float32)
