"""What every look of a pack sees in the kept back pictures, and what looks say together under any thresholds.

Networks run once. Scores are kept as the network said them, so that thresholds can be tried without looking again: they
only move scores, and fusing (velum_pipeline.detect.looks, as `format` `auto` does it) is cheap.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.matching import Boxes
from evaluation.measure import labelled_boxes
from evaluation.sets import LabelledPicture, LabelledSet
from training.weights.curve import Curve
from velum_pipeline.detect.calibration import Calibration
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Component, Sighting, View
from velum_pipeline.detect.detector import WEAK
from velum_pipeline.detect.looks import Looks
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window, layout
from velum_pipeline.options import DEFAULT_CLASS_OPTIONS, ObjectClass, Tiling

LOWEST = 0.05
"""The native score from which candidates are kept: to a threshold above .23, what is less counts for nothing (WEAK)."""
OVERLAP = {ObjectClass.FACE: 0.4}
TIGHT = 0.5
"""Overlap that counts as found; faces are labelled more loosely than other things."""
AUTO = Tiling("auto")
AS_IT_IS = Calibration(0.5, 0.5)
REPORTED = 50
"""Pictures between two lines of progress."""


@dataclass(frozen=True)
class Seen:
    """What one look saw in one picture: its windows, and per window the candidates by class, with native scores."""

    spec: ComponentSpec
    windows: tuple[Window, ...]
    found: tuple[Mapping[ObjectClass, Candidates], ...]


@dataclass(frozen=True)
class Scene:
    """One picture. labelled: per class that is labelled in it the objects' boxes, (M, 4), and ignored ones, (K, 4).

    seen: by their names the looks that took the picture.
    """

    labelled: Mapping[ObjectClass, tuple[Boxes, Boxes]]
    seen: Mapping[str, Seen]


def scenes(components: Sequence[Component], sets: Sequence[LabelledSet]) -> list[Scene]:
    """Look at every picture of which some class is labelled that a component finds. Raises SetInvalid."""
    made, finds = [], frozenset().union(*(component.classes for component in components))
    for labelled, picture in _pictures(sets, finds):
        made.append(_scene(components, picture, finds, labelled.pixels(picture)))
        if len(made) % REPORTED == 0:
            print(f"looked at {len(made)} pictures", file=sys.stderr, flush=True)
    return made


def together(pictures: Sequence[Scene], object_class: ObjectClass, thresholds: Mapping[str, float]) -> Curve:
    """Precision and recall of these looks as one, if each has this native threshold; scores are the contract's.

    As in the detector, what a single look holds for less likely than WEAK of the contract's threshold is left out.
    """
    default = DEFAULT_CLASS_OPTIONS[object_class].threshold
    calibrations = {name: Calibration(threshold, default) for name, threshold in thresholds.items()}
    return _curve(pictures, object_class, calibrations, WEAK * default)


def alone(pictures: Sequence[Scene], object_class: ObjectClass, name: str) -> Curve:
    """Precision and recall of one look over the pictures that it took; scores are native."""
    return _curve([each for each in pictures if name in each.seen], object_class, {name: AS_IT_IS}, 0.0)


def _curve(
    pictures: Sequence[Scene], object_class: ObjectClass, calibrations: Mapping[str, Calibration], least: float
) -> Curve:
    counted, overlap = Curve(), OVERLAP.get(object_class, TIGHT)
    for picture in pictures:
        if object_class in picture.labelled:
            found = _fused(picture, object_class, calibrations, least)
            counted.add(found.boxes, found.scores, *picture.labelled[object_class], overlap)
    return counted


def _fused(
    picture: Scene, object_class: ObjectClass, calibrations: Mapping[str, Calibration], least: float
) -> Candidates:
    """The objects of a class in a picture, best first, of candidates with this score or more after calibration."""
    looks = Looks()
    for name, seen in picture.seen.items():
        if name not in calibrations:
            continue
        called = [_called(found[object_class], calibrations[name], least) for found in seen.found]
        sightings = [Sighting({object_class: found}, 0) for found in called]
        looks.add("", seen.spec, [object_class], seen.windows, sightings, None)
    return looks.fused(object_class, None)


def _called(found: Candidates, calibration: Calibration, least: float) -> Candidates:
    scores = calibration.apply(found.scores)
    return replace(found, scores=scores).select(scores >= least)


def _pictures(
    sets: Sequence[LabelledSet], finds: frozenset[ObjectClass]
) -> Iterator[tuple[LabelledSet, LabelledPicture]]:
    return ((each, picture) for each in sets for picture in each.pictures if finds & picture.classes)


def _scene(
    components: Sequence[Component],
    picture: LabelledPicture,
    finds: frozenset[ObjectClass],
    pixels: NDArray[np.uint8],
) -> Scene:
    labelled = {name: labelled_boxes(picture, name) for name in ObjectClass if name in finds & picture.classes}
    windows = layout(pixels.shape[1], pixels.shape[0], AUTO).windows
    seen = {}
    for component in components:
        taken = tuple(window for window in windows if component.spec.input.takes(window.width, window.height))
        if taken and component.classes & labelled.keys():
            seen[component.spec.name] = _seen(component, pixels, taken, component.classes & labelled.keys())
    return Scene(labelled, seen)


def _seen(
    component: Component, pixels: NDArray[np.uint8], windows: tuple[Window, ...], names: frozenset[ObjectClass]
) -> Seen:
    known = {
        name: Calibration(component.spec.classes[name].threshold, DEFAULT_CLASS_OPTIONS[name].threshold)
        for name in names
    }
    floors = {name: float(calibration.apply(np.array(LOWEST))) for name, calibration in known.items()}
    sightings = component.detect([View(pixels, window) for window in windows], floors)
    native = {name: Calibration(calibration.contract, calibration.native) for name, calibration in known.items()}
    found = tuple(
        {name: replace(each, scores=native[name].apply(each.scores), segments=None) for name, each in one.found.items()}
        for one in sightings
    )
    return Seen(component.spec, windows, found)
