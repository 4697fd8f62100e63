"""What people labelled and what teachers see, as the objects of one picture.

Faces and plates are labelled everywhere once this is done: by people, or by two teachers. What those doubt is marked
to be ignored, neither object nor background; the detector's crops take some of it for background all the same, where
nobody drew an object of the class (detector/crops.py). Where people labelled a class, a teacher's doubt is not marked
at all: it would spare the detector just what it must learn to leave.
Persons and vehicles are labelled by people only; their detector is not trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from training.labels.boxes import area, iou, same
from training.labels.hand import HandPicture
from training.labels.records import CLASSES, Box, Object
from training.labels.sources import Source
from training.labels.teachers import Rows, Seen
from training.labels.verdict import Rule, Sighting, judge

TEACHERS = {
    "face": ("yunet", "centerface"),
    "license-plate": ("hyperlpr-320", "hyperlpr-640"),
    "person": ("picodet", ""),
    "vehicle": ("picodet", ""),
}
FUSED = ("face", "license-plate")
"""What two teachers see."""
# Chosen where people labelled too (faces_maskon, plates_romania, openimages_lp), and by looking at crops of other sets.
RULES = {
    "face": Rule(sure=0.9, both=0.7, weak=0.6),
    "license-plate": Rule(sure=0.95, both=0.8, weak=0.65),
    "person": Rule(sure=0.6, both=0.6, weak=0.4),
    "vehicle": Rule(sure=0.6, both=0.6, weak=0.4),
}
STRICT = RULES | {
    "face": Rule(sure=0.98, both=0.88, weak=0.6),
    "license-plate": Rule(sure=0.985, both=0.9, weak=0.65),
}
"""Where a quarter of the plates and a sixth of the faces that the others call sure are wrong (looked at)."""
IN_VEHICLE = 0.27
"""A vehicle of which PicoDet is this sure may carry a plate; its native .25."""
SAME_CORNERS = 0.6
"""IoU from which a teacher's corners are those of a box drawn by hand."""
SMALLEST = 5.0
"""Side in pixels of a square, below whose area nobody can tell what an object is."""


def classes_of(picture: HandPicture) -> tuple[str, ...]:
    """The classes of which the picture shows no object but the fused ones."""
    return tuple(name for name in CLASSES if name in picture.labelled_classes or name in FUSED)


def objects_of(source: Source, picture: HandPicture, seen: Seen) -> tuple[Object, ...]:
    """All objects of a picture, those drawn by hand first."""
    objects = [object_ for name in CLASSES for object_ in _of_class(name, source, picture, seen)]
    return tuple(sorted(map(_sized, objects), key=lambda each: (CLASSES.index(each.cls), each.source, each.bbox)))


def _of_class(name: str, source: Source, picture: HandPicture, seen: Seen) -> Iterable[Object]:
    rule = (STRICT if name in source.strict else RULES)[name]
    first, second = (_sightings(seen.get(teacher, ()), name) for teacher in TEACHERS[name])
    verdict = judge(first, second, rule)
    drawn = [item for item in picture.objects if item.cls == name]
    for item in drawn:
        corners = _corners(item.bbox, (*verdict.sure, *verdict.doubtful))
        yield Object(name, item.bbox, item.doubtful, corners, "hand")
    unlabelled = name not in picture.labelled_classes and name in FUSED
    ignored = verdict.doubtful if unlabelled else ()
    found = verdict.sure if unlabelled or name in source.holes else ()
    vehicles = _vehicles(picture, seen)
    for each in (*found, *ignored):
        if not any(same(each.bbox, item.bbox) for item in drawn):
            stray = name == "license-plate" and not any(_middle_in(each.bbox, vehicle) for vehicle in vehicles)
            ignore = not unlabelled or stray or each in ignored
            yield Object(name, _inside(each.bbox, picture), ignore, each.corners, "teacher")


def _vehicles(picture: HandPicture, seen: Seen) -> list[Box]:
    """Where a plate may be. Bicycles and trains carry none."""
    drawn = [item.bbox for item in picture.objects if item.cls == "vehicle" and not item.doubtful]
    return drawn + [each.bbox for each in _sightings(seen.get("picodet", ()), "vehicle") if each.score >= IN_VEHICLE]


def _sightings(rows: Rows, name: str) -> list[Sighting]:
    return [
        Sighting((row[2], row[3], row[4], row[5]), row[1], tuple(row[6:14]) if len(row) == 14 else None)
        for row in rows
        if row[0] == name
    ]


def _middle_in(box: Box, other: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return other[0] <= x <= other[2] and other[1] <= y <= other[3]


def _corners(box: Box, sightings: Sequence[Sighting]) -> tuple[float, ...] | None:
    best = max((each for each in sightings if each.corners), key=lambda each: iou(box, each.bbox), default=None)
    return best.corners if best is not None and iou(box, best.bbox) >= SAME_CORNERS else None


def _inside(box: Box, picture: HandPicture) -> Box:
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(picture.width)), min(y2, float(picture.height))


def _sized(item: Object) -> Object:
    ignore = item.ignore or area(item.bbox) < SMALLEST**2
    x1, y1, x2, y2 = (round(number, 1) for number in item.bbox)
    corners = None if item.corners is None else tuple(round(number, 1) for number in item.corners)
    return Object(item.cls, (x1, y1, x2, y2), ignore, corners, item.source)
