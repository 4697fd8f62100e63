"""`hack/train calibrate`: thresholds of a pack's looks, per class and input size, from the kept back pictures.

Every look of the pack (a component: one network at one input size) is held against the validation split by itself. Its
threshold is the least that reaches the precision asked for, so recall is what is left to gain: a face that is missed is
somebody's, a sign that is blurred is nobody's. Where there are too few objects to tell, the old threshold stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluation.sets import LabelledSet, find_sets
from training.errors import LabelsInvalid
from training.labels.kept_back import VALIDATION
from training.weights.curve import Curve, Working
from training.weights.manifest import PACK, with_threshold, write_manifest
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.calibration import Calibration
from velum_pipeline.detect.component import Component, View
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import DEFAULT_CLASS_OPTIONS, ObjectClass
from velum_pipeline.packs import PackRegistry
from velum_pipeline.packs.manifest import MANIFEST, read_manifest

PRECISION = {
    ObjectClass.FACE: 0.7,
    ObjectClass.LICENSE_PLATE: 0.8,
    ObjectClass.PERSON: 0.8,
    ObjectClass.VEHICLE: 0.7,
}
"""Asked of each look on the validation split, where labels are not complete: what is asked is a lower bound."""
LOWEST = 0.02
"""The contract's score from which candidates are counted."""
LEAST_OBJECTS = 30
"""Fewer say nothing of a precision: a threshold chosen on them would be chance."""
OVERLAP = {ObjectClass.FACE: 0.4}
TIGHT = 0.5
"""Overlap that counts as found; faces are labelled more loosely than other things."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument(
        "--validation", type=Path, help=f"sets to calibrate on; default: `{VALIDATION}` in the work folder"
    )
    parser.add_argument("--dry", action="store_true", help="print the thresholds and leave the manifest as it is")


def run(arguments: argparse.Namespace) -> None:
    """Print every look's working points, and write its thresholds into the manifest."""
    path: Path = arguments.pack / MANIFEST
    name = read_manifest(path).name
    detector = PackRegistry([arguments.pack]).load([name], Runtime(threads=max(1, arguments.threads)))
    sets = find_sets(arguments.validation or kept_back(arguments.work / VALIDATION))
    text = path.read_text()
    for component in detector.components:
        for object_class, (point, objects) in working_points(component, sets).items():
            text = changed(text, component, object_class, point, objects)
    if not arguments.dry:
        write_manifest(path, text)


def kept_back(folder: Path) -> Path:
    """The folder, if there are sets in it. Raises LabelsInvalid."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise LabelsInvalid(
            folder, "no kept back pictures are there; make them with `hack/train label`, or name sets with --validation"
        )
    return folder


def changed(text: str, component: Component, object_class: ObjectClass, point: Working, objects: int) -> str:
    """The manifest's text with a look's threshold, where enough was seen to choose one; says what was done."""
    said = f"{component.spec.name:24} {object_class.value:14}"
    if objects < LEAST_OBJECTS or not point.recall:
        known = component.spec.classes[object_class].threshold
        why = f"{objects} objects are too few" if objects < LEAST_OBJECTS else f"found none of {objects} objects"
        print(f"{said} threshold {known:.3f} stays: {why}", flush=True)
        return text
    print(
        f"{said} threshold {point.threshold:.3f}, recall {point.recall:.3f}, precision {point.precision:.3f} "
        f"of {objects} objects",
        flush=True,
    )
    return with_threshold(text, component.spec.name, object_class, point.threshold)


def working_points(component: Component, sets: Sequence[LabelledSet]) -> dict[ObjectClass, tuple[Working, int]]:
    """Per class that the look finds and the sets label: the native threshold and what it reaches, and of how many."""
    curves = {name: Curve() for name in component.spec.classes}
    for labelled in sets:
        shared = curves.keys() & set(labelled.classes)
        for picture in labelled.pictures if shared else ():
            pixels = labelled.pixels(picture)
            window = Window(0, 0, pixels.shape[1], pixels.shape[0])
            if not component.spec.input.takes(window.width, window.height):
                continue
            (seen,) = component.detect([View(pixels, window)], dict.fromkeys(shared & picture.classes, LOWEST))
            for name, found in seen.found.items():
                objects = [item for item in picture.objects if item.object_class is name]
                truth, ignored = (
                    np.array([item.box for item in objects if item.ignore is vague], np.float64).reshape(-1, 4)
                    for vague in (False, True)
                )
                curves[name].add(found.boxes, found.scores, truth, ignored, OVERLAP.get(name, TIGHT))
    return {
        name: (_native(component, name, curve.threshold(PRECISION[name])), curve.objects)
        for name, curve in curves.items()
        if curve.objects
    }


def _native(component: Component, name: ObjectClass, point: Working) -> Working:
    """The working point with the network's own score in place of the contract's."""
    known = component.spec.classes[name].threshold
    calibration = Calibration(known, DEFAULT_CLASS_OPTIONS[name].threshold)
    return replace(point, threshold=calibration.invert(min(point.threshold, 0.999)))
