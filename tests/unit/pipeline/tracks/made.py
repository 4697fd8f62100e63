"""Looks at made scenes: objects that move, are missed, found weakly or twice; noise, cuts, frames that are broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, Mask
from velum_pipeline.options import ObjectClass
from velum_pipeline.tracks import Tracked, Tracker

SIZE = (640, 360)
THRESHOLDS = {ObjectClass.FACE: 0.5, ObjectClass.LICENSE_PLATE: 0.5, ObjectClass.PERSON: 0.4}
Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """What a tracker is told of one frame."""

    ordinal: int
    found: Detections | None
    cut: bool = False


@dataclass
class Street:
    """Random objects of three classes on random ways, seen through a bad detector. The seed decides everything."""

    seed: int
    frames: int
    every: int = 1
    objects: int = 6
    outlined: bool = True
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def told(self) -> list[Frame]:
        random = self.random
        begins = random.uniform(0, 1, (self.objects, 2)) * SIZE
        speeds = random.normal(0, 3, (self.objects, 2))
        sides = random.uniform(6, 80, (self.objects, 2))
        classes = random.choice(list(THRESHOLDS), self.objects)
        decoded = random.random(self.frames) > 0.03
        looked: set[int] = set()
        told = []
        for ordinal in np.flatnonzero(decoded).tolist():
            cut = random.random() < 0.01
            if cut:
                begins = random.uniform(0, 1, begins.shape) * SIZE - speeds * ordinal
            found = None
            if ordinal // self.every not in looked:
                looked.add(ordinal // self.every)
                corner = begins + speeds * ordinal + random.normal(0, 1, begins.shape)
                found = self._found(np.concatenate([corner, corner + sides], axis=1), classes)
            told.append(Frame(ordinal, found, cut))
        return told

    def _found(self, boxes: Boxes, classes: NDArray[np.object_]) -> Detections:
        random = self.random
        stray = np.concatenate([at := random.uniform(0, 300, (2, 2)), at + random.uniform(5, 60, (2, 2))], axis=1)
        double = random.random(len(boxes)) < 0.1
        boxes = np.concatenate([boxes, boxes[double] + random.normal(0, 3, (int(double.sum()), 4)), stray])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        classes = np.concatenate([classes, classes[double], random.choice(list(THRESHOLDS), 2)])
        kept = random.random(len(boxes)) < 0.75
        boxes, classes = boxes[kept], classes[kept]
        masks = tuple(map(self._mask, boxes.tolist())) if self.outlined else None
        corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 1]], boxes[:, [2, 3]], boxes[:, [0, 3]]], axis=1)
        corners[classes != ObjectClass.LICENSE_PLATE] = np.nan
        return Detections(boxes, random.uniform(0.15, 1, len(boxes)), classes, corners, masks)

    def _mask(self, box: Sequence[float]) -> Mask | None:
        x1, y1, x2, y2 = (int(value) for value in box)
        bits = self.random.random((max(y2 - y1, 1), max(x2 - x1, 1))) < 0.7
        return Mask(x1, y1, bits) if self.random.random() < 0.7 else None


def tracked(frames: Sequence[Frame], every: int = 1, size: tuple[int, int] = SIZE) -> dict[int, Tracked]:
    """All frames through one tracker, by ordinal."""
    tracker = Tracker(THRESHOLDS, size, every)
    answers = [each for frame in frames for each in tracker.push(frame.ordinal, frame.found, frame.cut)]
    answers += tracker.flush()
    assert [each.ordinal for each in answers] == [frame.ordinal for frame in frames]
    return {each.ordinal: each for each in answers}
