"""An example made new: another place of the box, another light, something in the way, another background.

Everything that changes the shape is done to picture and mask alike, and the box is taken again from the mask; then it
is moved a little, as a detector would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.labels.boxes import area
from training.outlines.masks import box_of
from training.outlines.sources import Example
from training.outlines.windows import Box, Matrix, Pixels, mapped, onto, warped, window
from velum_pipeline.detect.crops import GREY

Random = np.random.Generator
ALONE = frozenset({"ccp_street"})
"""Sets whose objects all stand before an empty background, which streets do not have."""
MOVED_ALONE, MOVED = 0.35, 0.12
"""How often an object is set before another background."""
HIDDEN, CUT_OFF, LEANING, COARSENED = 0.2, 0.2, 0.3, 0.3
"""How often something else is done to it."""
JITTER = 0.04
"""Standard deviation of a detected box's sides, as a fraction of its size."""
LEAN = 12.0
"""Degrees."""
LEAST_LEFT = 0.4
"""Of an object that something hides, or it is another object's picture."""
COARSE = 3.0
"""Enlargement from which on an example is coarse as it is."""


@dataclass(frozen=True)
class Crop:
    """What a step sees of one example. pixels: uint8 (S, S, 3) RGB; mask: float32 0..1 (S, S); certain: bool (S, S)."""

    pixels: Pixels
    mask: NDArray[np.float32]
    certain: NDArray[np.bool_]


@dataclass(frozen=True)
class _View:
    pixels: Pixels
    mask: Pixels
    certain: Pixels
    box: Box


def augmented(
    example: Example, others: Sequence[Example], grounds: Sequence[Pixels], random: Random, side: int
) -> Crop:
    """The example made new. others: what may get in its way; grounds: RGB pictures that may lie behind it."""
    assert example.mask is not None
    certain = np.ones(example.mask.shape, np.bool_) if example.certain is None else example.certain
    view = _View(example.pixels, example.mask, certain.astype(np.uint8) * 255, example.box)
    alone = example.source.set in ALONE
    if example.certain is None and grounds and random.random() < (MOVED_ALONE if alone else MOVED):
        view = _moved(view, grounds[int(random.integers(len(grounds)))], random)
    if others and random.random() < HIDDEN:
        view = _hidden(view, others[int(random.integers(len(others)))], random)
    if random.random() < CUT_OFF:
        view = _cut_off(view, random)
    crop = _cropped(view, _placed(view, random, side), side)
    pixels = _coarser(crop.pixels, random) if example.scale < COARSE and random.random() < COARSENED else crop.pixels
    return Crop(_lit(pixels, random), crop.mask, crop.certain)


def _cropped(view: _View, matrix: Matrix, side: int) -> Crop:
    mask = warped(view.mask, matrix, side, 0).astype(np.float32) / np.float32(255)
    return Crop(warped(view.pixels, matrix, side), mask, warped(view.certain, matrix, side, 255) >= 250)


def _placed(view: _View, random: Random, side: int) -> Matrix:
    """View to crop: leaning at times, its box jittered, mirrored at times."""
    lean, box = np.eye(3), view.box
    if random.random() < LEANING:
        lean = _leaning(box, random)
        points = np.argwhere(view.mask[::2, ::2] >= 128)[:, ::-1] * 2.0 + 1.0
        if len(points):
            moved = points @ lean[:2, :2].T + lean[:2, 2]
            (x1, y1), (x2, y2) = moved.min(0) - 1, moved.max(0) + 1
            box = (float(x1), float(y1), float(x2), float(y2))
    width, height = box[2] - box[0], box[3] - box[1]
    x1, y1, x2, y2 = (random.normal(0, JITTER, 4) * (width, height, width, height) + box).tolist()
    matrix = onto(window((x1, y1, max(x2, x1 + 2), max(y2, y1 + 2))), side) @ lean
    if random.random() < 0.5:
        matrix = np.array([[-1.0, 0, side], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    return matrix


def _leaning(box: Box, random: Random) -> Matrix:
    """(3, 3): a shear about the box's middle, along one of the axes."""
    lean = np.eye(3)
    row = int(random.integers(2))
    lean[row, 1 - row] = math.tan(math.radians(random.uniform(-LEAN, LEAN)))
    lean[row, 2] = -lean[row, 1 - row] * (box[1 - row] + box[3 - row]) / 2
    return lean


def _moved(view: _View, ground: Pixels, random: Random) -> _View:
    """Before another background, its edge softened so that no step gives it away."""
    height, width = view.mask.shape
    size = max(width, height)
    part = int(random.integers(min(ground.shape[:2]) // 3, min(ground.shape[:2]) + 1))
    top, left = (int(random.integers(extent - part + 1)) for extent in ground.shape[:2])
    behind = cv2.resize(ground[top : top + part, left : left + part], (size, size))[:height, :width]
    alpha = cv2.GaussianBlur(view.mask, (0, 0), 1.0)[..., None].astype(np.float32) / 255
    pixels = (view.pixels * alpha + behind * (1 - alpha)).astype(np.uint8)
    return _View(pixels, view.mask, view.certain, view.box)


def _hidden(view: _View, other: Example, random: Random) -> _View:
    """With another object before it; unchanged where too little would be left."""
    assert other.mask is not None
    height, width = view.mask.shape
    box, theirs = view.box, other.box
    scale = random.uniform(0.4, 1.2) * math.sqrt(area(box) / max(area(theirs), 1))
    x = random.uniform(box[0] - 0.2 * (box[2] - box[0]), box[2] + 0.2 * (box[2] - box[0]))
    y = random.uniform(box[1] + 0.3 * (box[3] - box[1]), box[3] + 0.2 * (box[3] - box[1]))
    middle = (theirs[0] + theirs[2]) / 2, (theirs[1] + theirs[3]) / 2
    matrix = np.array([[scale, 0, x - scale * middle[0]], [0, scale, y - scale * middle[1]]])
    before = mapped(other.mask, matrix, (width, height))
    left = np.where(before >= 128, 0, view.mask).astype(np.uint8)
    new = box_of(left)
    if new is None or np.count_nonzero(left) < LEAST_LEFT * np.count_nonzero(view.mask):
        return view
    alpha = before[..., None].astype(np.float32) / 255
    drawn = mapped(other.pixels, matrix, (width, height))
    pixels = (drawn * alpha + view.pixels * (1 - alpha)).astype(np.uint8)
    return _View(pixels, left, np.maximum(view.certain, before), new)


def _cut_off(view: _View, random: Random) -> _View:
    """At the border of a picture that ends inside the object."""
    axis, far, share = int(random.integers(2)), bool(random.integers(2)), random.uniform(0.05, 0.45)
    start, end = view.box[axis], view.box[axis + 2]
    place = round(end - share * (end - start) if far else start + share * (end - start))
    pixels, mask = view.pixels.copy(), view.mask.copy()
    gone = slice(place, None) if far else slice(0, max(place, 0))
    index = (slice(None), gone) if axis == 0 else (gone, slice(None))
    pixels[index], mask[index] = GREY, 0
    box = box_of(mask)
    return view if box is None else _View(pixels, mask, view.certain, box)


def _coarser(pixels: Pixels, random: Random) -> Pixels:
    """As a small object looks when its crop is enlarged."""
    side, factor = len(pixels), random.uniform(0.12, 0.7)
    small = max(8, round(side * factor))
    reduced = cv2.resize(pixels, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(reduced, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _lit(pixels: Pixels, random: Random) -> Pixels:
    """In another light, through another camera."""
    if random.random() < 0.2:
        return pixels
    values = pixels.astype(np.float32)
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * random.uniform(0.2, 1.3)
    values = (values - 128) * random.uniform(0.6, 1.3) + 128 + random.uniform(-28, 28)
    values *= random.uniform(0.92, 1.08, 3).astype(np.float32)
    if random.random() < 0.2:
        values = cv2.GaussianBlur(values, (0, 0), random.uniform(0.5, 1.6))
    if random.random() < 0.3:
        values = values + random.normal(0, random.uniform(2, 12), values.shape).astype(np.float32)
    return np.asarray(np.clip(values, 0, 255), np.uint8)
