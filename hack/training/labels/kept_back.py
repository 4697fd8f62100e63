"""The validation pictures as sets for `hack/evaluate`, one for each set that they are from.

A picture's ``only`` names what is labelled in it. What two teachers hold for an object counts as one there, and what
they doubt is ignored; a class that nobody labelled is not asked for.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from evaluation.annotations import ANNOTATIONS, OTHER_WORDS
from training.labels.records import Object, Record

VALIDATION = "validation"
"""Folder of these sets, below the work folder."""
WORDS = {str(name): word for word, name in OTHER_WORDS.items()}
"""hack/evaluate's tables say plate."""


def write_evaluation(folder: Path, data: Path, records: Iterable[Record]) -> list[str]:
    """Write FOLDER/SET with links to the pictures, in place of the sets that lay there. Gives the sets' names."""
    for stale in folder.iterdir() if folder.is_dir() else ():
        if _written_before(stale):
            shutil.rmtree(stale)
    kept = sorted((each for each in records if each.split == "val"), key=lambda each: (each.set, each.file))
    names = []
    for name, group in groupby(kept, key=lambda each: each.set):
        _write_set(folder / name, data, list(group))
        names.append(name)
    return names


def _written_before(folder: Path) -> bool:
    """Whether a folder holds nothing but what `_write_set` writes: links and annotations."""
    if folder.is_symlink() or not (folder / ANNOTATIONS).is_file():
        return False
    return all(each.is_symlink() or each.name == ANNOTATIONS for each in folder.iterdir())


def _write_set(folder: Path, data: Path, records: Sequence[Record]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():  # of a folder that somebody put something else into
        if link.is_symlink():
            link.unlink()
    for record in records:
        (folder / Path(record.file).name).symlink_to((data / record.file).resolve())
    entries = [_picture(record) for record in records]
    (folder / ANNOTATIONS).write_text(json.dumps(entries, indent=0))


def _picture(record: Record) -> dict[str, Any]:
    return {
        "file": Path(record.file).name,
        "width": record.width,
        "height": record.height,
        "only": [_word(name) for name in record.classes],
        "objects": [_object(item) for item in record.objects if item.cls in record.classes],
    }


def _object(item: Object) -> dict[str, Any]:
    return {"cls": _word(item.cls), "bbox": list(item.bbox), "ignore": item.ignore}


def _word(name: str) -> str:
    return WORDS.get(name, name)
