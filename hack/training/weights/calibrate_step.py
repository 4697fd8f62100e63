"""`hack/train calibrate`: thresholds of a pack's looks, per class and input size, from the kept back pictures.

Every look of the pack (a component: one network at one input size) is held against the validation split, first by
itself: the least threshold that reaches PRECISION says how the looks stand to each other. Then the thresholds of a
class are moved together, until what all looks say as one, as `format` `auto` fuses it, has FUSED_PRECISION at the
contract's default threshold. Both times the threshold is the least that will do, so recall is what is left to gain: a
face that is missed is somebody's, a sign that is blurred is nobody's.

Where there are too few objects to tell, the old threshold stays. A look that takes none of the pictures, because it is
for larger ones only, begins with the threshold of the look of the same network that is nearest to it in size, and moves
with its class: a network's scores depend on how large an object comes to it, not on how large the picture was. Enlarged
pictures would be no stand-ins: all of their vehicles are close-ups. Components that look inside others are left alone.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.sets import LabelledSet, find_sets
from training.errors import LabelsInvalid
from training.labels.kept_back import VALIDATION
from training.weights import looks
from training.weights.curve import Working
from training.weights.manifest import PACK, with_threshold, write_manifest
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.calibration import Calibration
from velum_pipeline.detect.component import Component
from velum_pipeline.detect.spec import ComponentSpec
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
FUSED_PRECISION = {
    ObjectClass.FACE: 0.7,
    ObjectClass.LICENSE_PLATE: 0.7,
    ObjectClass.PERSON: 0.65,
    ObjectClass.VEHICLE: 0.7,
}
"""Asked of all looks as one. Of ten things hidden three may be none: a face or a plate that shows costs more.

Plates of drives and countries that were not learned from are scored lower than those of the validation split, so that
.75 here missed too many of them. Of persons that count as mistakes here a quarter are some whom nobody labelled, and a
third lie loosely on labelled ones (18 of highway_id, looked at): .65 of the split is .77 where labels are careful.
"""
LEAST_OBJECTS = 30
"""Fewer say nothing of a precision: a threshold chosen on them would be chance."""
PASSES = 12
"""Moving a class comes to rest after two or three; where it does not, it goes to and fro between a few detections."""
ENDS = (0.001, 0.999)
"""Thresholds in a manifest have three digits, and are neither 0 nor 1."""


@dataclass(frozen=True)
class Chosen:
    """Native thresholds by look, what they reach together, and of how many objects. ``moved``: those that may move."""

    thresholds: Mapping[str, float]
    reached: Working
    objects: int
    moved: frozenset[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument(
        "--validation", type=Path, help=f"sets to calibrate on; default: `{VALIDATION}` in the work folder"
    )
    parser.add_argument("--dry", action="store_true", help="print the thresholds and leave the manifest as it is")


def run(arguments: argparse.Namespace) -> None:
    """Print the working points of every look and of all together, and write the thresholds into the manifest."""
    path: Path = arguments.pack / MANIFEST
    name = read_manifest(path).name
    detector = PackRegistry([arguments.pack]).load([name], Runtime(threads=max(1, arguments.threads)))
    sets = find_sets(arguments.validation or kept_back(arguments.work / VALIDATION))
    components = [component for component in detector.components if component.spec.inside is None]
    found = calibrated(components, sets)
    text = path.read_text()  # not before: looking takes minutes, and what an export wrote meanwhile must stay
    for object_class, chosen in found.items():
        for look in sorted(chosen.moved):
            text = with_threshold(text, look, object_class, chosen.thresholds[look])
    if not arguments.dry:
        write_manifest(path, text)


def kept_back(folder: Path) -> Path:
    """The folder, if there are sets in it. Raises LabelsInvalid."""
    if not folder.is_dir() or not any(folder.iterdir()):
        raise LabelsInvalid(
            folder, "no kept back pictures are there; make them with `hack/train label`, or name sets with --validation"
        )
    return folder


def calibrated(components: Sequence[Component], sets: Sequence[LabelledSet]) -> dict[ObjectClass, Chosen]:
    """Per class that the looks find, their thresholds. Says what every look and all together reach."""
    pictures = looks.scenes(components, sets)
    taken = {look for picture in pictures for look in picture.seen}
    own: dict[ObjectClass, dict[str, float]] = defaultdict(dict)
    moved: dict[ObjectClass, set[str]] = defaultdict(set)
    specs = [component.spec for component in components]
    for component in sorted(components, key=lambda each: each.spec.name not in taken):
        look = component.spec.name
        for object_class, spec in component.spec.classes.items():
            if look not in taken and (like := nearest(component.spec, specs, moved[object_class])):
                own[object_class][look] = own[object_class][like]
                moved[object_class].add(look)
                print(f"{look:24} {object_class.value:14} as {like}: no picture is so large")
                continue
            point, objects = working_point(pictures, object_class, look)
            known = objects >= LEAST_OBJECTS and point.recall > 0
            own[object_class][look] = point.threshold if known else spec.threshold
            moved[object_class].update({look} if known else ())
            print(_line(look, object_class, replace(point, threshold=own[object_class][look]), objects))
    chosen = {}
    for object_class, thresholds in own.items():
        chosen[object_class] = fused(pictures, object_class, thresholds, frozenset(moved[object_class]))
        print(_fused_line(object_class, chosen[object_class]), flush=True)
    return chosen


def nearest(own: ComponentSpec, others: Iterable[ComponentSpec], known: Set[str]) -> str | None:
    """Of the looks with these names that have the same network, the one nearest in size, if there is any."""
    alike = [each for each in others if each.file == own.file and each.name in known]
    near = min(alike, key=lambda each: abs(math.log(each.input.longest / own.input.longest)), default=None)
    return near.name if near else None


def working_point(pictures: Sequence[looks.Scene], object_class: ObjectClass, look: str) -> tuple[Working, int]:
    """A look's native threshold by itself and what it reaches, and of how many objects."""
    curve = looks.alone(pictures, object_class, look)
    point = curve.threshold(PRECISION[object_class])
    return replace(point, threshold=_written(point.threshold)), curve.objects


def fused(
    pictures: Sequence[looks.Scene], object_class: ObjectClass, thresholds: Mapping[str, float], moved: frozenset[str]
) -> Chosen:
    """The thresholds of those looks that are ``moved`` as one, so that all together reach FUSED_PRECISION.

    The contract's score at which the looks reach it as one is brought back through the calibration of each look to its
    native score, which becomes the threshold. That is not exact: fused scores do not move by the same odds as those
    that they are made of, and what a look is too little sure of for its new threshold is left out before fusing. So
    it is counted again with the new thresholds, as they will be written, until they rest. Of all that were tried those
    with the best recall count, then with the best precision; where none reaches what is asked, the last.
    """
    default, wanted = DEFAULT_CLASS_OPTIONS[object_class].threshold, FUSED_PRECISION[object_class]
    tried: list[Chosen] = []
    while len(tried) < PASSES and not any(one.thresholds == thresholds for one in tried):
        curve = looks.together(pictures, object_class, thresholds)
        tried.append(Chosen(thresholds, curve.at(default), curve.objects, moved))
        if curve.objects < LEAST_OBJECTS:
            return tried[0]
        score = min(max(curve.threshold(wanted).threshold, ENDS[0]), ENDS[1])
        thresholds = {
            look: _written(Calibration(each, default).invert(score)) if look in moved else each
            for look, each in thresholds.items()
        }
    enough = [one for one in tried if one.reached.precision >= wanted]
    return max(enough, key=lambda one: (one.reached.recall, one.reached.precision), default=tried[-1])


def _written(threshold: float) -> float:
    """As it will stand in the manifest."""
    return min(max(round(threshold, 3), ENDS[0]), ENDS[1])


def _line(look: str, object_class: ObjectClass, point: Working, objects: int) -> str:
    said = f"{look:24} {object_class.value:14} threshold {point.threshold:.3f}"
    if objects < LEAST_OBJECTS:
        return f"{said} stays: {objects} objects are too few"
    if not point.recall:
        return f"{said} stays: found none of {objects} objects"
    return f"{said}, recall {point.recall:.3f}, precision {point.precision:.3f} of {objects} objects"


def _fused_line(object_class: ObjectClass, chosen: Chosen) -> str:
    reached = chosen.reached
    said = f"{'all as one':24} {object_class.value:14} threshold {reached.threshold:.3f}"
    said += f", recall {reached.recall:.3f}, precision {reached.precision:.3f} of {chosen.objects} objects"
    return f"{said}: {', '.join(f'{look} {threshold:.3f}' for look, threshold in chosen.thresholds.items())}"
