"""One subject on one set: per class, what it found at each overlap, what it would hide, and how long it took."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.coverage import Coverage, coverage
from evaluation.matching import Tally, match
from evaluation.sets import LabelledPicture, LabelledSet
from evaluation.subjects import Subject
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

LOOSE, TIGHT = 0.3, 0.5
"""Overlaps that count as found.

For hiding something a box that is somewhat off still hits, since regions are padded; 0.5 is the field's own.
"""
OVERLAPS = (LOOSE, TIGHT)


@dataclass(frozen=True)
class Miss:
    """An object that was not found at LOOSE, and the boxes of its class that were there instead, (N, 4)."""

    subject: str
    set: str
    path: Path
    word: str
    box: tuple[float, float, float, float]
    found: NDArray[np.float32]


@dataclass
class Result:
    """One class of one set, by one subject. ``word`` is the set's own for the class."""

    subject: str
    set: str
    object_class: ObjectClass
    word: str
    tallies: dict[float, Tally] = field(default_factory=lambda: {overlap: Tally() for overlap in OVERLAPS})
    coverage: Coverage | None = None
    milliseconds: float | None = None


@dataclass(frozen=True)
class Settings:
    """What is asked of every subject. ``thresholds`` replace the defaults; ``classes`` None means all."""

    tiling: Tiling = field(default_factory=lambda: Tiling("auto"))
    classes: frozenset[ObjectClass] | None = None
    thresholds: Mapping[ObjectClass, float] = field(default_factory=dict)

    def options(self, classes: frozenset[ObjectClass]) -> Options:
        """The request for these classes."""
        wanted = {name: ClassOptions.default(name) for name in ObjectClass if name in classes}
        for name in wanted.keys() & self.thresholds.keys():
            wanted[name] = replace(wanted[name], threshold=self.thresholds[name])
        return Options(Method.BLUR, wanted, tiling=self.tiling)


def measure(
    subject: Subject, labelled: LabelledSet, settings: Settings, progress: Callable[[int], None] = lambda _done: None
) -> tuple[list[Result], list[Miss]]:
    """Look at every picture of a set, in its order. The results by class; none where subject and set share no class.

    Raises SetInvalid for a picture that cannot be read, and whatever the subject raises.
    """
    shared = subject.classes & frozenset(labelled.classes) & (settings.classes or frozenset(ObjectClass))
    if not shared:
        return [], []
    options = settings.options(shared)
    results = {name: Result(subject.name, labelled.name, name, labelled.words[name]) for name in options.classes}
    for name, result in results.items():
        result.coverage = Coverage() if labelled.outlined(name) else None
    look, times, misses = subject.over(labelled, options), [], []
    for done, picture in enumerate(labelled.pictures, 1):
        pixels = labelled.pixels(picture)
        sighting = look(picture, pixels)
        times.append(sighting.milliseconds)
        _count(results, picture, sighting.detections, options, pixels.shape[:2])
        misses += _misses(results, picture, sighting.detections)
        progress(done)
    taken = [each for each in times if each is not None]
    for result in results.values():
        result.milliseconds = statistics.median(taken) if taken else None
    return list(results.values()), misses


def labelled_boxes(picture: LabelledPicture, name: ObjectClass) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Boxes of a class in a picture: of objects, (M, 4), and of what is ignored, (K, 4)."""
    objects = [item for item in picture.objects if item.object_class is name]
    truth, ignored = (
        np.array([item.box for item in objects if item.ignore is vague], np.float64).reshape(-1, 4)
        for vague in (False, True)
    )
    return truth, ignored


def _count(
    results: Mapping[ObjectClass, Result],
    picture: LabelledPicture,
    detections: Detections,
    options: Options,
    size: tuple[int, int],
) -> None:
    for name, result in results.items():
        if name in picture.classes:
            boxes, scores, truth, ignored = _arrays(name, picture, detections)
            for overlap, tally in result.tallies.items():
                tally.add(match(boxes, scores, truth, ignored, overlap))
    if any(item.polygons for item in picture.objects):
        covered = coverage(picture.objects, detections, options, size[1], size[0])
        for name, result in results.items():
            if result.coverage is not None:
                result.coverage += covered[name]


def _misses(results: Mapping[ObjectClass, Result], picture: LabelledPicture, detections: Detections) -> list[Miss]:
    found = []
    for name, result in results.items():
        boxes, scores, truth, ignored = _arrays(name, picture, detections)
        owners = match(boxes, scores, truth, ignored, LOOSE).owner
        for box in truth[owners < 0]:
            x1, y1, x2, y2 = box.tolist()
            found.append(Miss(result.subject, result.set, picture.path, result.word, (x1, y1, x2, y2), boxes))
    return found


def _arrays(
    name: ObjectClass, picture: LabelledPicture, detections: Detections
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    own = detections.select(detections.classes == name)
    return own.boxes, own.scores, *labelled_boxes(picture, name)
