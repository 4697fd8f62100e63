"""What the tower learns from: crops of labelled pictures at many scales, some of several pictures.

Scales are relative to "the picture fits the crop": from far smaller to far larger, because a request may hold any of
both. Two kinds of crop are made on purpose, for what chance shows too rarely: objects that nearly fill the crop, and
objects of a few pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from training.detector.crops import Pixels, Sample, cut, sides_of
from training.detector.tower import CLASSES
from training.labels.records import Object, Record

SCALES = (0.6, 3.0)
MOSAIC_SCALES = (0.9, 2.2)
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
    return cut(record, read(record), size, scale, target, draw)


Scale = Callable[[Object, tuple[int, int], np.random.Generator], float]


def _around(record: Record, read: Read, size: tuple[int, int], draw: np.random.Generator, scale: Scale) -> Sample:
    targets = _targets(record)
    if not targets:
        return _plain(record, read, size, draw, SCALES)
    target = targets[draw.integers(len(targets))]
    return cut(record, read(record), size, scale(target, size, draw), target, draw)


def _large_scale(target: Object, size: tuple[int, int], draw: np.random.Generator) -> float:
    width, height = sides_of(target)
    return float(draw.uniform(*LARGE_SHARE)) * min(size[0] / width, size[1] / height)


def _tiny_scale(target: Object, size: tuple[int, int], draw: np.random.Generator) -> float:
    del size
    width, height = sides_of(target)
    if target.cls == "face":
        return float(draw.uniform(*TINY_FACE)) / min(width, height)
    return float(draw.uniform(*TINY_PLATE)) / width
