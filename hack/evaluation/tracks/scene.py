"""Objects that move over a video's frames: what is pasted where, and the truth about it.

Everything follows from a seed: no frame is kept, and any frame's truth can be asked at any time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.tracks import paths
from evaluation.tracks.crops import Box, Crop
from velum_pipeline.options import ObjectClass

SHUTTER = 0.5
"""Of a frame's time, as film does it: how long the motion blur is."""
EXPOSURES = 5
"""Positions that a blurred object is the mean of."""
SIZES = ((14.0, 24.0), (24.0, 48.0), (48.0, 90.0))
"""Pixels; an object's size is drawn from one of these in turn."""
OPAQUE = 0.5
"""Alpha from which on a pasted object hides what is behind it."""
SHARPENING = 1.25
"""A crop is never blown up more than so."""


@dataclass(frozen=True)
class Actor:
    """A crop on its path."""

    crop: Crop
    path: paths.Path

    def alive(self, frame: int) -> bool:
        """Whether it is in the scene, if perhaps beyond the picture's edge."""
        return self.path.start <= frame < self.path.stop

    def placed(self, frame: float) -> NDArray[np.float64]:
        """The affine matrix (2, 3) from the crop's pixels to the picture's, corner to corner."""
        x, y, size = self.path.at(frame)
        scale = size / self.crop.size
        x1, y1, x2, y2 = self.crop.box
        return np.array([[scale, 0, x - scale * (x1 + x2) / 2], [0, scale, y - scale * (y1 + y2) / 2]])

    def box(self, frame: int) -> Box:
        """The labelled box in the picture, reaching over its edges."""
        matrix = self.placed(frame)
        (x1, y1), (x2, y2) = (matrix[:, :2] @ corner + matrix[:, 2] for corner in np.reshape(self.crop.box, (2, 2)))
        return float(x1), float(y1), float(x2), float(y2)


@dataclass(frozen=True)
class Visible:
    """One object in one frame. pixels: bool, those that must be hidden, of which row and column 0 lie at (y, x) of the
    picture. share: of its pixels, how many are in the picture and behind nothing."""

    track: int
    box: Box
    x: int
    y: int
    pixels: NDArray[np.bool_]
    share: float


@dataclass(frozen=True)
class Scene:
    """Actors, the last in front, over frames of (width, height)."""

    actors: tuple[Actor, ...]
    size: tuple[int, int]
    frames: int

    def compose(self, frame: int, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The frame with its objects, BGR uint8 (H, W, 3); the background is left as it is."""
        picture = background.astype(np.float32)
        for actor in self.actors:
            if actor.alive(frame):
                _paste(picture, actor, frame)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)

    def truth(self, frame: int) -> list[Visible]:
        """The objects of a frame of which anything can be seen."""
        found: list[Visible] = []
        hidden = np.zeros(self.size[::-1], bool)
        for track in reversed(range(len(self.actors))):
            actor = self.actors[track]
            if not actor.alive(frame):
                continue
            area = _area(actor.placed(frame), actor.crop.truth.shape, self.size)
            if area is None:
                continue
            columns, rows = area
            pixels = _warped(actor.crop.truth.astype(np.float32), actor.placed(frame), area) >= OPAQUE
            seen = pixels & ~hidden[rows, columns]
            hidden[rows, columns] |= _warped(actor.crop.alpha, actor.placed(frame), area) >= OPAQUE
            whole = actor.crop.truth.sum() * actor.placed(frame)[0, 0] ** 2
            if seen.any():
                share = min(1.0, float(seen.sum() / max(whole, 1)))
                found.append(Visible(track, actor.box(frame), columns.start, rows.start, seen, share))
        return found


def make(
    crops: Mapping[ObjectClass, Sequence[Crop]], size: tuple[int, int], frames: int, count: int, seed: int
) -> Scene:
    """A scene of ``count`` objects over so many frames of (width, height), by classes, motions and SIZES in turn."""
    random = np.random.default_rng(seed)
    lanes = paths.spread(random, count)
    motions = list(paths.Motion)
    classes = [name for name, found in crops.items() if found]
    actors = []
    for number in range(count if classes else 0):
        low, high = SIZES[(seed + number) % len(SIZES)]
        wanted = float(random.uniform(low, high)) * size[1] / 720
        pool = crops[classes[number % len(classes)]]
        sharp = [each for each in pool if each.size * SHARPENING >= wanted] or sorted(pool, key=lambda each: each.size)
        crop = sharp[int(random.integers(len(sharp)))] if sharp[0].size * SHARPENING >= wanted else sharp[-1]
        wanted = min(wanted, crop.size * SHARPENING)
        motion = motions[(number // len(SIZES)) % len(motions)]
        actors.append(Actor(crop, paths.draw(random, motion, wanted, frames, size, float(lanes[number]))))
    return Scene(tuple(actors), size, frames)


def _paste(picture: NDArray[np.float32], actor: Actor, frame: int) -> None:
    """Blend the mean of several moments into the picture, in place."""
    size = picture.shape[1], picture.shape[0]
    moments = [actor.placed(frame + SHUTTER * (each / (EXPOSURES - 1) - 0.5)) for each in range(EXPOSURES)]
    areas = [area for moment in moments if (area := _area(moment, actor.crop.alpha.shape, size))]
    if not areas:
        return
    columns = slice(min(each.start for each, _ in areas), max(each.stop for each, _ in areas))
    rows = slice(min(each.start for _, each in areas), max(each.stop for _, each in areas))
    ink = actor.crop.pixels * actor.crop.alpha[..., None]
    layers = np.dstack([ink, actor.crop.alpha]).astype(np.float32)
    mean = np.mean([_warped(layers, moment, (columns, rows)) for moment in moments], axis=0)
    below = picture[rows, columns]
    below *= 1 - mean[..., 3:]
    below += mean[..., :3]


def _area(matrix: NDArray[np.float64], shape: tuple[int, ...], size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Columns and rows of the picture that a crop of (height, width) touches; None outside."""
    low, high = matrix[:, 2], matrix[:, :2] @ (shape[1], shape[0]) + matrix[:, 2]
    x1, y1 = np.maximum(np.floor(low) - 1, 0).astype(int).tolist()
    x2, y2 = np.minimum(np.ceil(high) + 1, size).astype(int).tolist()
    return (slice(x1, x2), slice(y1, y2)) if x2 > x1 and y2 > y1 else None


def _warped(layer: NDArray[np.float32], matrix: NDArray[np.float64], area: tuple[slice, slice]) -> NDArray[np.float32]:
    """A layer of the crop as it lies on an area of the picture; 0 around it."""
    columns, rows = area
    scale = float(matrix[0, 0])
    step = max(1, int(1 / scale))
    if scale < 1 and step > 1:  # areas are averaged first, or a small copy would be a sieve
        small = cv2.resize(
            layer, (max(1, layer.shape[1] // step), max(1, layer.shape[0] // step)), None, 0, 0, cv2.INTER_AREA
        )
        across, down = layer.shape[1] / small.shape[1], layer.shape[0] / small.shape[0]
        layer = np.asarray(small, np.float32)
        matrix = np.array([[scale * across, 0, matrix[0, 2]], [0, scale * down, matrix[1, 2]]])
    shifted = matrix.copy()
    # corner coordinates to those of pixel centres, as cv2 counts
    shifted[:, 2] += (matrix[:, :2] @ (0.5, 0.5)) - 0.5 - (columns.start, rows.start)
    shape = columns.stop - columns.start, rows.stop - rows.start
    drawn = cv2.warpAffine(layer, shifted, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(drawn, np.float32)
