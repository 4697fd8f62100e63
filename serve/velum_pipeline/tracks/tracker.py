"""Detections frame by frame in, detections of the same objects in every frame out, some frames later.

Detectors flicker: an object is found in one frame, missed in the next, found again. A video in which nothing is hidden
in the missed frames hides nothing. So every object is covered in all frames between two hits and for some frames before
its first and after its last, by boxes as much larger as its place is uncertain.

**What is guaranteed** (and tested): with looks at every n-th frame, n = 1, 2, 3, 5, and any k <= 10 frames in a row
without a detection of an object, be it at its first frames, its last, or between, its box is covered in every one of
them, provided that

* it is found in three looks in a row on one side of a hole between, and in three looks next to a hole at its
  first or last frames; by those its motion is known;
* it moves by at most half its scale a frame, and half its scale from look to look in what the detector did not
  see before (`links.NEAR_SPEED`, `nodes.scales`);
* across a hole between it speeds up or slows down by at most `fill.BEND` scales a frame² in any way, and by more where
  it does so steadily; beyond its ends by at most `fill.ACCELERATION`;
* detections are off by at most `motion.NOISE` of its size, and the picture shakes by no more than `fill.SHAKE` of it;
  where hits are seen to be less steady, boxes grow by what they are off.

Where two objects cross and it stays open which is which, both are extended from both sides, and where a link may have
taken one for the other, both are covered as if it were none, by tracks of their own (`rivals`); where one of them was
found within half its size of the other, its box stands for both. Of some 140,000 objects on steady ways that crossed
another and were missed there, with looks at every third or fifth frame, two showed 3 % of themselves in a frame: by
links that nothing put in doubt. A scene cut ends tracks.

That is what boxes alone can promise, and on a hand-held camera it is boxes of many times the object's area. Given the
frames' luma, objects are followed by their pixels beyond their ends and through holes (`follow`, `trails`): boxes then
are little larger than what they hide, and links over holes between what is seen to be two objects are undone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, Masks
from velum_pipeline.options import ObjectClass, Options
from velum_pipeline.tracks import cuts
from velum_pipeline.tracks.follow import Luma
from velum_pipeline.tracks.lane import Lane, Rows
from velum_pipeline.tracks.nodes import NONE
from velum_pipeline.tracks.scenes import Scenes
from velum_pipeline.tracks.windows import Windows

WEAK = 0.5
"""A weak detection reaches this share of its class's threshold."""
END_OF_VIDEO = 1 << 41

Anchors = frozenset[tuple[int, int, int]]


@dataclass(frozen=True)
class Tracked:
    """What is in one frame.

    detections: N objects, seen or filled in, clipped to the picture, by class, then falling score. What is filled in
    has a score below that of the hit it comes from, often below the threshold, and all of it is to be hidden.
    tracks: (N,) numbers of this tracker, from 0 in order of appearance; no track is in a frame twice. One that is
    never seen covers what another may hide. seen: (N,) whether a detector found it in this very frame.
    anchors: N sets of (ordinal, class as its place in ObjectClass, row among its class's detections in that frame,
    below 0 for a track that is never seen) of detections of the track near this frame. Every tracker that came within
    its radius of the frame gives the same, and a track's sets in two frames that follow each other share a member: by
    that, tracks that were cut into pieces for different processes are joined again.
    """

    ordinal: int
    detections: Detections
    tracks: NDArray[np.int64]
    seen: NDArray[np.bool_]
    anchors: tuple[Anchors, ...]


def weak_thresholds(thresholds: Mapping[ObjectClass, float]) -> dict[ObjectClass, float]:
    """The scores down to which a detector is to be asked, so that objects are followed through weak moments."""
    return {name: threshold * WEAK for name, threshold in thresholds.items()}


def weak(options: Options) -> Options:
    """The options to put to a detector whose answers go to a Tracker with the thresholds of ``options``."""
    wider = weak_thresholds(options.thresholds)
    return replace(options, classes={name: replace(c, threshold=wider[name]) for name, c in options.classes.items()})


class Tracker:
    """See the module.

    thresholds: the score by class that counts by itself; other classes are left out. size: width and height of the
    displayed picture. every: of so many frames, counted from frame 0, one is looked at. luma: the frames that were
    pushed and not yet answered for, to follow objects through them beyond what boxes tell; it is asked for no other.
    """

    def __init__(
        self,
        thresholds: Mapping[ObjectClass, float],
        size: tuple[int, int],
        every: int = 1,
        luma: Luma | None = None,
    ) -> None:
        self._windows = Windows(every)
        self._scenes = Scenes()
        self._strong = dict(thresholds)
        self._size = size
        self._lanes = {name: Lane(self._windows, self._scenes, luma) for name in ObjectClass if name in thresholds}
        self._waiting: deque[int] = deque()
        self._last = -1
        self._numbers: dict[tuple[int, int], tuple[int, int]] = {}
        self._next = 0

    @property
    def radius(self) -> int:
        """What is said of a frame depends on the frames at most so far from it."""
        return self._windows.radius

    @staticmethod
    def reach(every: int) -> int:
        """The same where cuts are told by `Cuts`, which for each frame sees some more."""
        return Windows(every).radius + cuts.MEMORY

    def push(self, ordinal: int, detections: Detections | None, cut: bool) -> list[Tracked]:
        """Take the next frame; return the frames of which nothing more will be known, in order.

        detections: what a detector answered when asked with ``weak``, None where nobody looked. cut: whether a scene
        begins with this frame. Ordinals rise; those left out are frames that could not be decoded.
        Raises ValueError when they do not rise.
        """
        if ordinal <= self._last:
            raise ValueError(f"frame {ordinal} after frame {self._last}")
        self._last = ordinal
        self._waiting.append(ordinal)
        if cut:
            self._scenes.cut(ordinal)
        if detections is not None:
            self._look(ordinal, detections)
        return self._answers(ordinal)

    def flush(self) -> list[Tracked]:
        """The frames that are left when no more come."""
        return self._answers(END_OF_VIDEO)

    def _look(self, ordinal: int, detections: Detections) -> None:
        for name, lane in self._lanes.items():
            threshold = self._strong[name]
            wanted = (detections.classes == name) & (detections.scores >= np.float32(threshold * WEAK))
            found = detections.select(wanted.astype(np.bool_))
            lane.look(ordinal, found, found.scores >= np.float32(threshold))

    def _answers(self, now: int) -> list[Tracked]:
        for lane in self._lanes.values():
            lane.advance(now)
        answers = []
        while self._waiting and self._waiting[0] + self.radius <= now:
            answers.append(self._answer(self._waiting.popleft()))
        if answers:
            self._forget(answers[-1].ordinal)
        return answers

    def _answer(self, ordinal: int) -> Tracked:
        parts = [
            (place, name, rows)
            for place, name in enumerate(ObjectClass)
            if name in self._lanes
            for rows in self._lanes[name].rows(ordinal)
        ]
        if not parts:
            return Tracked(ordinal, Detections.empty(), np.zeros(0, np.int64), np.zeros(0, np.bool_), ())
        boxes = np.concatenate([rows.boxes for _, _, rows in parts])
        width, height = self._size
        boxes = np.minimum(np.maximum(boxes, 0), np.array([width, height, width, height], np.float32))
        scores = np.concatenate([rows.scores for _, _, rows in parts])
        places = np.concatenate([np.full(len(rows.scores), place) for place, _, rows in parts])
        inside = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        order = inside[np.lexsort((-scores[inside], places[inside]))]
        names = np.concatenate([np.full(len(rows.scores), name, object) for _, name, rows in parts])
        found = Detections(boxes[order], scores[order], names[order], _corners(parts, order), _masks(parts, order))
        lanes = np.concatenate([rows.tracks for _, _, rows in parts])[order]
        keys = np.concatenate([rows.keys for _, _, rows in parts])[order]
        seen = np.concatenate([np.full(len(rows.scores), rows.seen) for _, _, rows in parts])[order]
        classes = places[order].tolist()
        tracks = [self._number(key, ordinal) for key in zip(classes, lanes.tolist(), strict=True)]
        return Tracked(ordinal, found, np.array(tracks, np.int64), seen, _anchors(classes, keys))

    def _number(self, key: tuple[int, int], ordinal: int) -> int:
        number = self._numbers[key][0] if key in self._numbers else self._next
        self._next = max(self._next, number + 1)
        self._numbers[key] = number, ordinal
        return number

    def _forget(self, ordinal: int) -> None:
        """Forget tracks that ended: one that goes on is there in every frame, or outside the picture for a while."""
        self._scenes.forget(ordinal - 2 * self.radius)
        if len(self._numbers) > 4096:
            oldest = ordinal - 100 * self.radius
            self._numbers = {key: known for key, known in self._numbers.items() if known[1] >= oldest}


def _corners(parts: list[tuple[int, ObjectClass, Rows]], order: NDArray[np.int64]) -> NDArray[np.float32] | None:
    if all(rows.corners is None for _, _, rows in parts):
        return None
    blank = [np.full((len(rows.scores), 4, 2), np.nan, np.float32) for _, _, rows in parts]
    chosen = [b if rows.corners is None else rows.corners for (_, _, rows), b in zip(parts, blank, strict=True)]
    corners: NDArray[np.float32] = np.concatenate(chosen)[order]
    return corners if np.isfinite(corners).any() else None


def _masks(parts: list[tuple[int, ObjectClass, Rows]], order: NDArray[np.int64]) -> Masks:
    if all(rows.masks is None for _, _, rows in parts):
        return None
    every = [mask for _, _, rows in parts for mask in (rows.masks or (None,) * len(rows.scores))]
    return tuple(every[row] for row in order)


def _anchors(classes: list[int], keys: NDArray[np.int64]) -> tuple[Anchors, ...]:
    return tuple(
        frozenset((time, place, row) for time, row in own if time != NONE)
        for place, own in zip(classes, keys.tolist(), strict=True)
    )
