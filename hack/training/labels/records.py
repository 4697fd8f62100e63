"""`labels.jsonl`: one picture a line, every object of it, and which classes are labelled there.

    {"set": SET, "file": PATH, "width": W, "height": H, "split": "train" | "val" | "gap", "classes": [CLASS, ...],
     "objects": [{"cls": CLASS, "bbox": [x1, y1, x2, y2], "ignore": BOOL, "corners": [x, y, ... 8] | null,
                  "source": "hand" | "teacher"}]}

PATH is relative to the folder of the sets; coordinates are pixels of the stored picture. A class under ``classes`` is
labelled: where no object of it lies there is none. Of other classes only the objects count, and the rest of the picture
says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from training.errors import LabelsInvalid

LABELS = "labels.jsonl"
CLASSES = ("face", "license-plate", "person", "vehicle")

Split = Literal["train", "val", "gap"]
"""gap: beside validation in the same video, and in neither part."""
Source = Literal["hand", "teacher"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Object:
    """One object. bbox: x1 y1 x2 y2. corners: x, y of top left, top right, bottom right, bottom left; plates only.

    ignore: neither found nor missed, neither object nor background; but the detector's crops take a share of what
    teachers doubt for background (detector/crops.py). source: who says so.
    """

    cls: str
    bbox: Box
    ignore: bool
    corners: tuple[float, ...] | None
    source: Source


@dataclass(frozen=True)
class Record:
    """One picture. file: its path below the folder of the sets. classes: those that are labelled in it."""

    set: str
    file: str
    width: int
    height: int
    split: Split
    classes: tuple[str, ...]
    objects: tuple[Object, ...]


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write all of them at once or nothing, in the order of set and file."""
    ordered = sorted(records, key=lambda record: (record.set, record.file))
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(asdict(record), separators=(",", ":")) + "\n" for record in ordered))
    partial.replace(path)


def read_records(path: Path) -> list[Record]:
    """The pictures of a file that ``write_records`` wrote. Raises LabelsInvalid naming the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsInvalid(path, f"cannot be read ({error}); make it with `hack/train label`") from error
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(_record(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else error
            raise LabelsInvalid(path, f"line {number}: {problem}") from error
    return records


def _record(data: dict[str, object]) -> Record:
    split, classes, objects = data["split"], data["classes"], data["objects"]
    if split not in get_args(Split):
        raise ValueError(f"split {split!r} is not one of {', '.join(get_args(Split))}")
    if not isinstance(classes, list) or not isinstance(objects, list):
        raise TypeError("classes and objects must be lists")
    if unknown := set(classes) - set(CLASSES):
        raise ValueError(f"unknown class {sorted(unknown)[0]!r}; one of {', '.join(CLASSES)}")
    return Record(
        str(data["set"]),
        str(data["file"]),
        int(cast(int, data["width"])),
        int(cast(int, data["height"])),
        cast(Split, split),
        tuple(classes),
        tuple(map(_object, objects)),
    )


def _object(data: dict[str, object]) -> Object:
    if data["cls"] not in CLASSES or data["source"] not in get_args(Source):
        raise ValueError(f"object of {data['cls']!r} by {data['source']!r}; classes are {', '.join(CLASSES)}")
    return Object(
        str(data["cls"]),
        cast(Box, _floats(data["bbox"], 4, "bbox")),
        bool(data["ignore"]),
        None if data["corners"] is None else _floats(data["corners"], 8, "corners"),
        cast(Source, data["source"]),
    )


def _floats(value: object, count: int, name: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{name} must be {count} numbers, got {value!r}")
    return tuple(map(float, value))
