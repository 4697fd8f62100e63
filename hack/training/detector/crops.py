"""What the tower learns from: crops of labelled pictures at many scales, some of several pictures, with their boxes.

A crop is one affine map of a picture, so boxes and corners go through the same numbers as pixels. Scales are relative
to "the picture fits the crop": from far smaller to far larger, because a request may hold any of both. Two kinds of
crop are made on purpose, for what chance shows too rarely: objects that nearly fill the crop, and objects of a few
pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from training.detector.tower import CLASSES
from training.labels.records import Object, Record

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
FILL = 114
NOTHING = {"face": 0.15, "license-plate": 0.4}
"""How often a teacher's doubtful object is taken for background, where nobody drew objects of its class."""
SCALES = (0.6, 3.0)
MOSAIC_SCALES = (0.9, 2.2)
STRETCH = 0.12
"""Each axis on its own, log scale: pictures are taken, and stored, with other aspects."""
LARGEST_SCALE = 8.0
MOSAIC, LARGE, TINY = 0.4, 0.15, 0.05
"""Shares of the kinds of crop; the rest are plain."""
FOUR = 0.7
"""Share of the mosaics that are of four pictures; the others are of nine."""
ON_OBJECT = 0.7
"""How often a plain crop is laid over an object instead of anywhere."""
LARGE_SHARE = (0.3, 1.0)
"""Of the crop's side, filled by the object."""
TINY_FACE, TINY_PLATE = (8.0, 18.0), (15.0, 40.0)
"""Pixels of the shorter side of a face, and of the width of a plate."""
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


Read = Callable[[Record], Pixels]


def sample(
    records: Sequence[Record], chance: NDArray[np.float64], read: Read, size: tuple[int, int], draw: np.random.Generator
) -> Sample:
    """One crop of ``size`` (width, height). ``chance``: cumulated, of the records."""
    kind = draw.random()
    if kind < MOSAIC:
        return _mosaic(records, chance, read, size, draw)
    if kind < MOSAIC + LARGE:
        return _around(_with_object(records, chance, draw), read, size, draw, _large_scale)
    if kind < MOSAIC + LARGE + TINY:
        return _around(_with_object(records, chance, draw), read, size, draw, _tiny_scale)
    return _plain(records[_chosen(chance, draw)], read, size, draw, SCALES)


def _chosen(chance: NDArray[np.float64], draw: np.random.Generator) -> int:
    return min(int(np.searchsorted(chance, draw.random() * chance[-1], side="right")), len(chance) - 1)


def _targets(record: Record) -> list[Object]:
    return [each for each in record.objects if each.cls in CLASSES and not each.ignore]


def _with_object(records: Sequence[Record], chance: NDArray[np.float64], draw: np.random.Generator) -> Record:
    for _ in range(200):
        record = records[_chosen(chance, draw)]
        if _targets(record):
            return record
    return record


def _mosaic(
    records: Sequence[Record],
    chance: NDArray[np.float64],
    read: Read,
    size: tuple[int, int],
    draw: np.random.Generator,
) -> Sample:
    """Four or nine crops side by side: many small objects, and none of the grey around a picture seen small."""
    count = 2 if draw.random() < FOUR else 3
    columns, rows = (_cuts(side, count, draw) for side in size)
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    parts = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            record = records[_chosen(chance, draw)]
            part = _plain(record, read, (right - left, bottom - top), draw, MOSAIC_SCALES)
            pixels[top:bottom, left:right] = part.pixels
            offset = np.array([left, top], np.float32)
            parts.append(
                replace(part, boxes=part.boxes + np.tile(offset, 2), corners=part.corners + np.tile(offset, 4))
            )
    names = ("classes", "boxes", "corners", "ignore")
    return Sample(pixels, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _cuts(side: int, count: int, draw: np.random.Generator) -> list[int]:
    """Where a side is cut into so many parts, none much smaller than the others; with its ends."""
    shares = draw.uniform(0.6, 1.4, count)
    return [0, *(round(float(cut) * side) for cut in np.cumsum(shares / shares.sum())[:-1]), side]


def _plain(
    record: Record, read: Read, size: tuple[int, int], draw: np.random.Generator, scales: tuple[float, float]
) -> Sample:
    width, height = size
    fits = min(width / record.width, height / record.height)
    scale = math.exp(draw.uniform(math.log(scales[0]), math.log(scales[1]))) * fits
    targets = _targets(record)
    target = targets[draw.integers(len(targets))] if targets and draw.random() < ON_OBJECT else None
    return _cut(record, read(record), size, scale, target, draw)


Scale = Callable[[Object, tuple[int, int], np.random.Generator], float]


def _around(record: Record, read: Read, size: tuple[int, int], draw: np.random.Generator, scale: Scale) -> Sample:
    targets = _targets(record)
    if not targets:
        return _plain(record, read, size, draw, SCALES)
    target = targets[draw.integers(len(targets))]
    return _cut(record, read(record), size, scale(target, size, draw), target, draw)


def _sides(target: Object) -> tuple[float, float]:
    x1, y1, x2, y2 = target.bbox
    return max(x2 - x1, 4.0), max(y2 - y1, 4.0)


def _large_scale(target: Object, size: tuple[int, int], draw: np.random.Generator) -> float:
    width, height = _sides(target)
    return float(draw.uniform(*LARGE_SHARE)) * min(size[0] / width, size[1] / height)


def _tiny_scale(target: Object, size: tuple[int, int], draw: np.random.Generator) -> float:
    del size
    width, height = _sides(target)
    if target.cls == "face":
        return float(draw.uniform(*TINY_FACE)) / min(width, height)
    return float(draw.uniform(*TINY_PLATE)) / width


def _cut(
    record: Record,
    pixels: Pixels,
    size: tuple[int, int],
    scale: float,
    target: Object | None,
    draw: np.random.Generator,
) -> Sample:
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
        fills_x, fills_y = _sides(target)
        if fills_x * across > 0.5 * width or fills_y * down > 0.5 * height:  # large: near the middle, or it is cut
            x = centre_x * across - width * draw.uniform(0.42, 0.58)
            y = centre_y * down - height * draw.uniform(0.42, 0.58)
    x, y = (float(np.clip(v, min(0, room), max(0, room))) for v, room in ((x, wide - width), (y, high - height)))
    offset = np.array([x, y], np.float32)
    return _objects(record, _warped(pixels, (wide, high), offset, size), np.array([across, down], np.float32), offset)


def _judged(record: Record, draw: np.random.Generator) -> Record:
    """The record, some of its doubtful objects taken for nothing: where only teachers looked, most of them are.

    Left out for good they would hide from the tower what it takes for plates and must learn to leave.
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
