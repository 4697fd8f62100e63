"""Say what is in every picture: what people labelled, completed by what teachers see.

Writes WORK/labels.jsonl, and of the kept back pictures WORK/validation, sets as `hack/evaluate` reads them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from training.errors import DataMissing
from training.labels.fuse import classes_of, objects_of
from training.labels.hand import ANNOTATIONS, IMAGES, HandPicture, read_set
from training.labels.kept_back import VALIDATION, write_evaluation
from training.labels.records import CLASSES, LABELS, Record, Split, write_records
from training.labels.sources import REFUSED, SOURCES, Source, left_out
from training.labels.split import split
from training.labels.teachers import Faculty, Looking, Seen, read_seen, weights

SEEN = "teachers"
"""Folder of what the teachers saw, below the work folder."""
PROGRESS_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The step has no options of its own."""
    del parser


def run(arguments: argparse.Namespace, make: Callable[[], Faculty] | None = None) -> None:
    """Look, fuse, write and print. ``make`` loads the teachers (default: the packs that they are parts of)."""
    sources = _sources(arguments.data)
    hand = {source.name: read_set(arguments.data, source.name) for source in sources}
    unused = left_out()
    used = {
        name: [picture for picture in pictures if picture.file not in unused.get(name, {})]
        for name, pictures in hand.items()
    }
    make = make or partial(Faculty, weights(arguments.data))
    looking = Looking(arguments.data, arguments.work / SEEN, make, arguments.threads)
    _look(looking, {name: [picture.file for picture in pictures] for name, pictures in used.items()})
    records = []
    for source in sources:
        parts = split(source, [picture.file for picture in hand[source.name]])
        seen = read_seen(arguments.work / SEEN / f"{source.name}.jsonl")
        records += [_record(source, picture, parts, seen[picture.file]) for picture in used[source.name]]
    write_records(arguments.work / LABELS, records)
    print(table(records))
    print(f"\n{len(records)} pictures in {arguments.work / LABELS}")
    names = write_evaluation(arguments.work / VALIDATION, arguments.data, records)
    print(f"kept back pictures of {', '.join(names) or 'no set'} in {arguments.work / VALIDATION}")


def _sources(data: Path) -> list[Source]:
    """The sets that are there and may be used; what is not used is said. Raises DataMissing when none is."""
    known, refused = {source.name: source for source in SOURCES}, {each.name: each.reason for each in REFUSED}
    there = sorted(path.parent.name for path in data.glob(f"*/{ANNOTATIONS}"))
    for name in there:
        if name not in known:
            reason = refused.get(name, "training/labels/sources.py does not know it, nor its licence")
            print(f"set {name}: not used: {reason}", file=sys.stderr)
    for name in sorted(set(known) - set(there)):
        print(f"set {name}: not there", file=sys.stderr)
    found = [known[name] for name in there if name in known]
    if not found:
        raise DataMissing(f"{data} holds none of the sets {', '.join(known)}")
    return found


def _look(looking: Looking, files: Mapping[str, Sequence[str]]) -> None:
    said = time.monotonic()
    for name, remaining in looking.run(files):
        if not remaining or time.monotonic() - said > PROGRESS_S:
            said = time.monotonic()
            print(f"teachers: {name}: {remaining} of {len(files[name])} pictures to look at", file=sys.stderr)


def _record(source: Source, picture: HandPicture, parts: Mapping[str, Split], seen: Seen) -> Record:
    return Record(
        set=source.name,
        file=f"{source.name}/{IMAGES}/{picture.file}",
        width=picture.width,
        height=picture.height,
        split=parts[picture.file],
        classes=classes_of(picture),
        objects=objects_of(source, picture, seen),
    )


def table(records: Sequence[Record]) -> str:
    """For each set its pictures, those kept back, and for each class objects by hand + teachers, ignored, kept back."""
    rows = [["set", "pictures", "val", "gap", *(f"{name}: hand + teacher, ignored (val)" for name in CLASSES)]]
    names = sorted({record.set for record in records})
    rows += [_row(name, [record for record in records if record.set == name]) for name in names]
    rows.append(_row("all", records))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)


def _row(name: str, records: Sequence[Record]) -> list[str]:
    splits = Counter(record.split for record in records)
    cells = [name, str(len(records)), str(splits["val"]), str(splits["gap"])]
    for cls in CLASSES:
        objects = [(record, item) for record in records for item in record.objects if item.cls == cls]
        counted = Counter(item.source for _, item in objects if not item.ignore)
        kept = sum(record.split == "val" for record, item in objects if not item.ignore)
        ignored = sum(item.ignore for _, item in objects)
        cells.append(f"{counted['hand']} + {counted['teacher']}, {ignored} ({kept})")
    return cells
