"""Detection for pictures of different tasks in one go.

A batch groups what arrived together, and what arrived together need not ask for the same: pictures are put to the
detectors per set of wishes that detection looks at (classes, thresholds, tiling), so that an answer never depends on
who else was in the batch. If a group fails, its pictures are tried one by one: one picture on which a network breaks
must not take its neighbours with it.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass, Options, Tiling
from velum_serve.errors import DetectorBroken, ServeError

MAX_FAILURES = 3
"""Batches in a row in which no picture was answered, after which a replica is replaced.

A broken picture fails alone and now and then; a lost GPU or a corrupted session fails every time.
"""

Pixels = NDArray[np.uint8]
Item = tuple[Pixels, Options]
Wishes = tuple[tuple[tuple[ObjectClass, float], ...], Tiling]


class Detector(Protocol):
    """What `velum_pipeline.detect.Detector` offers."""

    def detect(self, pictures: Sequence[Pixels], options: Options) -> list[Detections]:
        """Return the requested classes in each picture."""
        ...


class BatchDetector:
    """Puts batches to a detector and remembers whether it still works. Thread-safe."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._lock = threading.Lock()
        self._failures = 0
        self._sizes: dict[int, int] = {}

    def detect(self, items: Sequence[Item]) -> list[Detections | Exception]:
        """Return for each picture with its options what was found, or the error that this picture alone gives."""
        with self._lock:
            self._sizes[len(items)] = self._sizes.get(len(items), 0) + 1
        answers: dict[int, Detections | Exception] = {}
        groups: dict[Wishes, list[int]] = {}
        for index, (_, options) in enumerate(items):
            groups.setdefault(_wishes(options), []).append(index)
        for indices in groups.values():
            pictures = [items[index][0] for index in indices]
            answers.update(zip(indices, self._group(pictures, items[indices[0]][1]), strict=True))
        answered = any(isinstance(answer, Detections) for answer in answers.values())
        with self._lock:
            self._failures = 0 if answered else self._failures + 1
        return [answers[index] for index in range(len(items))]

    def sizes(self) -> dict[int, int]:
        """Return how many batches of each size were begun."""
        with self._lock:
            return dict(self._sizes)

    def check(self) -> None:
        """Raise DetectorBroken when the last batches all failed."""
        with self._lock:
            if self._failures >= MAX_FAILURES:
                raise DetectorBroken(f"the detectors failed on the last {self._failures} batches")

    def _group(self, pictures: list[Pixels], options: Options) -> Sequence[Detections | Exception]:
        try:
            found = self._detector.detect(pictures, options)
            if len(found) != len(pictures):
                raise ServeError(f"the detectors answered for {len(found)} of {len(pictures)} pictures")
        except Exception as error:  # whatever a network throws belongs to its picture, not to its neighbours
            if len(pictures) == 1:
                return [error]
            return [answer for picture in pictures for answer in self._group([picture], options)]
        return found


def _wishes(options: Options) -> Wishes:
    return tuple(sorted(options.thresholds.items())), options.tiling
