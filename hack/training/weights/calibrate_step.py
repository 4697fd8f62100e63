"""`hack/train calibrate`: thresholds of a pack's looks, per class and input size, from the kept back pictures.

Every look of the pack (a component: one network at one input size) is held against the validation split by itself. Its
threshold is the least that reaches the precision asked for, so recall is what is left to gain: a face that is missed is
somebody's, a sign that is blurred is nobody's. The manifest's numbers are replaced in place; its words stay.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluation.sets import LabelledSet, find_sets
from training.errors import WeightsInvalid
from training.weights.curve import Curve, Working
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.calibration import Calibration
from velum_pipeline.detect.component import Component, View
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import DEFAULT_CLASS_OPTIONS, ObjectClass
from velum_pipeline.packs import PackRegistry
from velum_pipeline.packs.manifest import MANIFEST, read_manifest

PACK = Path("serve/velum_pipeline/packs/velum-street")
VALIDATION = "validation"
PRECISION = {
    ObjectClass.FACE: 0.7,
    ObjectClass.LICENSE_PLATE: 0.8,
    ObjectClass.PERSON: 0.8,
    ObjectClass.VEHICLE: 0.7,
}
"""Asked of each look on the validation split, where labels are not complete: what is asked is a lower bound."""
LOWEST = 0.02
"""The contract's score from which candidates are counted."""
OVERLAP = {ObjectClass.FACE: 0.4}
TIGHT = 0.5
"""Overlap that counts as found; faces are labelled more loosely than other things."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument(
        "--validation", type=Path, help="sets to calibrate on; default: `validation` in the work folder"
    )
    parser.add_argument("--dry", action="store_true", help="print the thresholds and leave the manifest as it is")


def run(arguments: argparse.Namespace) -> None:
    """Print every look's working points, and write its thresholds into the manifest."""
    path: Path = arguments.pack / MANIFEST
    name = read_manifest(path).name
    detector = PackRegistry([arguments.pack]).load([name], Runtime(threads=max(1, arguments.threads)))
    sets = find_sets(arguments.validation or arguments.work / VALIDATION)
    text = path.read_text()
    for component in detector.components:
        points = working_points(component, sets)
        for object_class, (point, objects) in points.items():
            print(
                f"{component.spec.name:24} {object_class.value:14} threshold {point.threshold:.3f}, "
                f"recall {point.recall:.3f}, precision {point.precision:.3f} of {objects} objects",
                flush=True,
            )
            text = replaced(text, component.spec.name, object_class, point.threshold)
    if not arguments.dry:
        path.write_text(text)


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


def replaced(text: str, component: str, object_class: ObjectClass, threshold: float) -> str:
    """The manifest's text with one threshold in place of the one that is there. Raises WeightsInvalid."""
    blocks = re.split(r"(?m)^(?=\[\[)", text)
    for index, block in enumerate(blocks):
        if block.startswith("[[components]]") and re.search(rf'(?m)^name = "{re.escape(component)}"$', block):
            line = re.compile(rf"(?m)^({re.escape(object_class.value)} = \{{ threshold = )[0-9.]+")
            blocks[index], count = line.subn(rf"\g<1>{threshold:.3f}", block)
            if count == 1:
                return "".join(blocks)
    raise WeightsInvalid(Path(MANIFEST), f"has no threshold of {object_class.value} in {component}")
