"""The file of taught masks, as JSON lines: who taught them, then what is known of each object.

    {"teacher": COMMAND or "network " and its SHA-256}
    {"object": KEY, "size": [H, W], "counts": [RUN, ...], "doubt": [RUN, ...]}

KEY names the object (``Source.key``); the run lengths are COCO's, of the whole picture. ``doubt``, which may be left
out, are pixels that say nothing. Without ``counts`` the mask was refused: it did not fill its box, or doubted too much.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import TeacherInvalid
from training.outlines.masks import Bits, decoded
from training.outlines.sources import Source

Lesson = tuple[Bits, Bits]
"""What is the object and what is in doubt, (H, W) each."""


def begin(path: Path, teacher: str, lines: bytes = b"") -> None:
    """Write a file of this teacher, all of it or none."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(json.dumps({"teacher": teacher}).encode() + b"\n" + lines)
    partial.replace(path)


def read(path: Path, teacher: str, sources: Iterable[Source]) -> Iterator[tuple[str, Lesson | None]]:
    """Each object of a file with what was taught of it, None where that was refused.

    Raises TeacherInvalid naming the line, and when another teacher filled it.
    """
    first, *lines = path.read_bytes().splitlines() or [b""]
    try:
        kept = _fields(first)["teacher"]
    except (ValueError, KeyError) as error:
        raise TeacherInvalid(path, "line 1 does not say who taught it") from error
    if kept != teacher:
        raise TeacherInvalid(path, f"was taught by {kept}, asked for {teacher}")
    yield from parsed(lines, sources, path, 2)


def parsed(
    lines: Iterable[bytes], sources: Iterable[Source], path: Path, first: int = 1
) -> Iterator[tuple[str, Lesson | None]]:
    """What lines say, the first of them with this number. ``path``: where it is kept, for the error.

    Raises TeacherInvalid naming the line.
    """
    sizes = {source.key: [source.height, source.width] for source in sources}
    for number, text in enumerate(lines, first):
        try:
            yield _lesson(_fields(text), sizes)
        except (ValueError, KeyError, TypeError) as error:
            problem = f"lacks {error}" if isinstance(error, KeyError) else error
            raise TeacherInvalid(path, f"line {number}: {problem}") from error


def _fields(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except RecursionError as error:
        raise ValueError("is no JSON that could be a mask") from error
    if not isinstance(line, dict):
        raise ValueError("is no JSON object")
    return line


def _lesson(line: Mapping[str, Any], sizes: Mapping[str, list[int]]) -> tuple[str, Lesson | None]:
    key = str(line["object"])
    if "counts" not in line:
        return key, None
    size = line["size"]
    if size != sizes.get(key, size):
        raise ValueError(f"size is {size}, the picture's height and width are {sizes[key]}")
    mask = decoded(size, line["counts"])
    return key, (mask, decoded(size, line["doubt"]) if "doubt" in line else np.zeros_like(mask))
