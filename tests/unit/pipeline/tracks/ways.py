"""Objects on known ways, each in a place of its own, whose detections are dropped here and there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unit.pipeline.tracks.made import Frame
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass
from velum_pipeline.tracks import Tracked, Tracker

Floats = NDArray[np.float64]
COVERED = 0.98
APART = 40_000.0
"""Pixels between places, so that no object meets another's rows."""


@dataclass(frozen=True)
class Ways:
    """K objects over T frames. boxes: (T, K, 4) true ones. there: (T, K) whether they exist. dropped: (T, K)."""

    boxes: Floats
    there: NDArray[np.bool_]
    dropped: NDArray[np.bool_]

    def told(self, every: int, noise: Floats) -> list[Frame]:
        """noise: (T, K, 4) pixels that the detector is off by."""
        frames = []
        for ordinal in range(len(self.boxes)):
            found = None
            if ordinal % every == 0:
                rows = self.there[ordinal] & ~self.dropped[ordinal]
                boxes = (self.boxes + noise)[ordinal, rows]
                found = Detections(boxes, np.full(len(boxes), 0.9), np.full(len(boxes), ObjectClass.FACE, object))
            frames.append(Frame(ordinal, found))
        return frames

    def exposed(self, every: int, noise: Floats, size: tuple[int, int]) -> list[tuple[int, int, float]]:
        """Frame, object and covered share wherever an object is there, was not found, and less than COVERED of it is
        under the boxes as they are, without the margins that regions add."""
        tracker = Tracker({ObjectClass.FACE: 0.5}, size, every)
        answers: list[Tracked] = []
        for frame in self.told(every, noise):
            answers += tracker.push(frame.ordinal, frame.found, frame.cut)
        answers += tracker.flush()
        bad = []
        for ordinal, answer in enumerate(answers):
            unseen = self.there[ordinal] & (self.dropped[ordinal] | (ordinal % every != 0))
            for each in np.flatnonzero(unseen).tolist():
                share = covered(clipped(self.boxes[ordinal, each], size), answer.detections.boxes)
                if share < COVERED:
                    bad.append((ordinal, each, share))
        return bad


def clipped(box: Floats, size: tuple[int, int]) -> Floats:
    return np.minimum(np.maximum(box, 0), np.array([*size, *size], np.float64))


def covered(box: Floats, boxes: NDArray[np.float32]) -> float:
    """The share of a box's area under the union of others; 1 where it has none."""
    area = float(np.prod(box[2:] - box[:2]))
    cut = np.concatenate([np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])], axis=1)
    cut = cut[(cut[:, 2:] > cut[:, :2]).all(axis=1)]
    if area <= 0:
        return 1.0
    xs, ys = np.unique(np.concatenate([cut[:, 0], cut[:, 2]])), np.unique(np.concatenate([cut[:, 1], cut[:, 3]]))
    inside = [
        ((cut[:, None, 0] <= xs[:-1]) & (xs[1:] <= cut[:, None, 2]))[:, None, :]
        & ((cut[:, None, 1] <= ys[:-1]) & (ys[1:] <= cut[:, None, 3]))[:, :, None]
    ]
    union = inside[0].any(axis=0) if len(cut) else np.zeros((0, 0))
    return float((union * np.diff(ys)[:, None] * np.diff(xs)[None]).sum()) / area if len(cut) else 0.0


def laid(centres: Floats, sides: Floats) -> Floats:
    """Boxes (T, K, 4) of these sides (T, K, 2) about centres (T, K, 2), each object in its own place."""
    columns = int(np.ceil(np.sqrt(centres.shape[1])))
    place = np.arange(centres.shape[1])
    home = (np.stack([place % columns, place // columns], axis=1) + 0.5) * APART
    return np.concatenate([home + centres - sides / 2, home + centres + sides / 2], axis=2)


def picture(count: int) -> tuple[int, int]:
    """A picture with room for so many places."""
    side = int(np.ceil(np.sqrt(count)) * APART)
    return side, side


def curve(speed: Floats, acceleration: Floats, frames: int, pivot: Floats) -> Floats:
    """Ways (T, K, 2) with (K, 2) speeds at frames ``pivot`` (K,) and (T, K, 2) or (K, 2) accelerations."""
    times = np.arange(frames)[:, None, None] - pivot[None, :, None]
    return speed * times + acceleration * times**2 / 2


def holes(frames: int, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Frames [first, stop) of every span, (T,)."""
    dropped = np.zeros(frames, np.bool_)
    for first, stop in spans:
        dropped[max(first, 0) : max(stop, 0)] = True
    return dropped
