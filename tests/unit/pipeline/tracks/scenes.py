"""Made pictures: textured things on known ways before a textured wall, by a camera that shakes."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass
from velum_pipeline.tracks import Tracked, Tracker

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
SIZE = 320, 240
WALL = 160
"""Pixels that the wall goes on beyond the picture on every side."""


def texture(random: np.random.Generator, width: int, height: int, contrast: float = 45.0) -> Pixels:
    """Blots of several sizes, as walls and faces have them."""
    levels = np.zeros((height, width))
    for blot in (2.0, 5.0, 12.0):
        noise = cv2.GaussianBlur(random.normal(0, 1, (height, width)), (0, 0), blot)
        levels += noise / noise.std()
    return np.clip(128 + levels / levels.std() * contrast, 0, 255).astype(np.uint8)


@dataclass
class Scene:
    """One thing of ``side`` pixels. way: (T, 2) its centre before the wall. camera: (T, 2) where the camera looks.

    light: (T,) by what all levels are multiplied. before: (T, 4) a box that is in front of it all, or None.
    """

    way: Floats
    camera: Floats
    side: float = 28.0
    contrast: float = 45.0
    light: Floats | None = None
    before: Floats | None = None
    seed: int = 3
    frames: list[Pixels] = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        wall = texture(random, SIZE[0] + 2 * WALL, SIZE[1] + 2 * WALL)
        thing = texture(random, 64, 64, self.contrast)
        post = texture(random, 64, 64)
        self.frames = []
        for ordinal, box in enumerate(self.boxes()):
            frame = _put(np.zeros(SIZE[::-1], np.uint8), wall, self._moved(_wall(), ordinal))
            frame = _put(frame, thing, box)
            if self.before is not None:
                frame = _put(frame, post, self._moved(self.before[ordinal], ordinal))
            light = 1.0 if self.light is None else float(self.light[ordinal])
            self.frames.append(np.clip(frame * light, 0, 255).astype(np.uint8))

    def boxes(self) -> Floats:
        """(T, 4) of the thing, in the picture."""
        centre = self.way - self.camera
        return np.concatenate([centre - self.side / 2, centre + self.side / 2], axis=1)

    def _moved(self, box: Floats, ordinal: int) -> Floats:
        return box - np.tile(self.camera[ordinal], 2)

    def tracked(self, dropped: set[int], every: int = 1, noise: float = 0.0, pixels: bool = True) -> list[Tracked]:
        """All frames through a tracker whose detector misses the thing in the dropped ones."""
        random = np.random.default_rng(self.seed)
        waiting: dict[int, Pixels] = {}
        tracker = Tracker({ObjectClass.FACE: 0.5}, SIZE, every, waiting.get if pixels else None)
        answers: list[Tracked] = []
        for ordinal, box in enumerate(self.boxes()):
            waiting[ordinal] = self.frames[ordinal]
            off = random.uniform(-noise, noise, 4) * self.side
            boxes = (box + off)[None][: 0 if ordinal in dropped else 1]
            found = Detections(boxes, np.full(len(boxes), 0.9), np.full(len(boxes), ObjectClass.FACE, object))
            for answer in tracker.push(ordinal, found if ordinal % every == 0 else None, False):
                del waiting[answer.ordinal]  # what was answered for is redacted: nobody may look at it again
                answers.append(answer)
        return answers + tracker.flush()


def _wall() -> Floats:
    return np.array([-WALL, -WALL, SIZE[0] + WALL, SIZE[1] + WALL], np.float64)


def _put(frame: Pixels, what: Pixels, box: Floats) -> Pixels:
    """What fills the box, drawn onto the frame: to parts of pixels, softly."""
    across, down = (box[2] - box[0]) / what.shape[1], (box[3] - box[1]) / what.shape[0]
    matrix = np.array([[across, 0, box[0] + across / 2 - 0.5], [0, down, box[1] + down / 2 - 0.5]])
    drawn = cv2.warpAffine(what, matrix, SIZE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    x, y = np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5
    inside = ((x >= box[0]) & (x < box[2]))[None] & ((y >= box[1]) & (y < box[3]))[:, None]
    return np.where(inside, drawn, frame).astype(np.uint8)
