"""Labelled sets: folders with pictures and an ``annotations.json`` (see annotations.py).

A picture that cannot be read is an error, never an omission: dropped pictures would raise the recall. A set labels the
classes that occur in it, as objects, as ignored objects or under ``only``; what a detector finds of other classes is
neither right nor wrong there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from environment import shared
from evaluation.annotations import ANNOTATIONS, PictureEntry, class_named, read_entries
from evaluation.errors import SetInvalid
from velum_pipeline import media
from velum_pipeline.errors import MediaError
from velum_pipeline.options import Limits, ObjectClass

HEAD_BYTES = 1 << 20
"""Enough of a file for its header, behind whatever EXIF and ICC blocks stand before it."""


@dataclass(frozen=True)
class LabelledObject:
    """One object. box: x1 y1 x2 y2. polygons: float64 (N, 2) each, together the object's outline; may be none."""

    object_class: ObjectClass
    box: tuple[float, float, float, float]
    ignore: bool
    polygons: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True)
class LabelledPicture:
    """One picture and what is in it. ``classes`` are those that are labelled here."""

    path: Path
    file: str
    objects: tuple[LabelledObject, ...]
    classes: frozenset[ObjectClass]


@dataclass(frozen=True)
class LabelledSet:
    """The pictures of one folder. ``words``: the classes it labels, each with the set's own word for it."""

    name: str
    pictures: tuple[LabelledPicture, ...]
    words: Mapping[ObjectClass, str]
    sizes: Mapping[str, tuple[int | None, int | None]]

    @property
    def classes(self) -> list[ObjectClass]:
        """What it labels, in the classes' own order."""
        return [name for name in ObjectClass if name in self.words]

    def outlined(self, wanted: ObjectClass) -> bool:
        """Whether any object of the class has polygons."""
        objects = (item for picture in self.pictures for item in picture.objects)
        return any(item.polygons for item in objects if item.object_class is wanted and not item.ignore)

    def first(self, count: int | None) -> LabelledSet:
        """The set cut down to so many pictures, all of them for None."""
        return replace(self, pictures=self.pictures[:count])

    def pixels(self, picture: LabelledPicture) -> NDArray[np.uint8]:
        """BGR uint8 (H, W, 3) as displayed, decoded as Velum does it. Raises SetInvalid.

        A broken file that Velum refuses, and OpenCV reads as far as it goes, is taken as that, and said: whether a
        detector finds an object is another question than whether its file is accepted.
        """
        data = picture.path.read_bytes()
        try:
            pixels = media.decode(data, Limits()).pixels
        except MediaError as error:
            salvaged = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if salvaged is None:
                raise SetInvalid(self.name, f"{picture.file}: cannot be read: {error}") from error
            print(f"set {self.name}: {picture.file}: refused ({error}); measured as OpenCV reads it", file=sys.stderr)
            pixels = np.asarray(salvaged, np.uint8)
        stated, actual = self.sizes[picture.file], (pixels.shape[1], pixels.shape[0])
        if any(one is not None and one != other for one, other in zip(stated, actual, strict=True)):
            raise SetInvalid(self.name, _disagreement(picture.file, stated, actual))
        return pixels


def add_data(command: argparse.ArgumentParser) -> None:
    """Declare --data: the shared sets, where there are any."""
    home = shared()
    data = home / "data" / "eval" if home else None
    command.add_argument(
        "--data", type=Path, default=data, required=data is None, metavar="DIR", help=f"the sets (default: {data})"
    )


def find_sets(folder: Path) -> list[LabelledSet]:
    """Every set at or below a folder, by name: its path from there. Raises SetInvalid, also when there is none."""
    if not folder.is_dir():
        raise SetInvalid(str(folder), "is not a folder")
    found = sorted(_folders(folder))
    if not found:
        raise SetInvalid(str(folder), f"there is no {ANNOTATIONS} at or below it")
    return [
        read_set(each, folder.resolve().name if each == folder else each.relative_to(folder).as_posix())
        for each in found
    ]


def _folders(folder: Path) -> Iterator[Path]:
    """Folders with annotations, linked ones too: sets are often gathered by links. A link to an ancestor ends."""
    entered = set()
    for place, below, files in os.walk(folder, followlinks=True):
        entered.add(Path(place).resolve())
        below[:] = [name for name in below if (Path(place) / name).resolve() not in entered]
        if ANNOTATIONS in files:
            yield Path(place)


def read_set(folder: Path, name: str) -> LabelledSet:
    """One set, its pictures there and their headers checked. Raises SetInvalid."""
    entries = list(read_entries(folder / ANNOTATIONS, name))
    if not entries:
        raise SetInvalid(name, f"{ANNOTATIONS} lists no picture")
    files = sorted(entry.file for entry in entries)
    for one, other in pairwise(files):
        if one == other:
            raise SetInvalid(name, f"{ANNOTATIONS} lists {one} twice")
    words: dict[ObjectClass, str] = {}
    for entry in entries:
        for word in [*entry.only, *(item.cls for item in entry.objects)]:
            words.setdefault(class_named(word), word)
    for entry in entries:
        _check_header(folder / entry.file, entry, name)
    return LabelledSet(
        name,
        tuple(_picture(folder, entry, frozenset(words)) for entry in entries),
        words,
        {entry.file: (entry.width, entry.height) for entry in entries},
    )


def _picture(folder: Path, entry: PictureEntry, labelled: frozenset[ObjectClass]) -> LabelledPicture:
    objects = tuple(
        LabelledObject(
            class_named(item.cls),
            item.bbox,
            item.ignore,
            tuple(np.asarray(points, np.float64).reshape(-1, 2) for points in item.polygons or []),
        )
        for item in entry.objects
    )
    if entry.only:
        labelled = frozenset(map(class_named, entry.only)) | {item.object_class for item in objects}
    return LabelledPicture(folder / entry.file, entry.file, objects, labelled)


def _check_header(path: Path, entry: PictureEntry, name: str) -> None:
    """Stop before an hour of work, not after it. The stored size may be the displayed one turned."""
    try:
        with path.open("rb") as stream:
            size = media.probe(stream.read(HEAD_BYTES))
    except OSError as error:
        raise SetInvalid(name, f"{entry.file}: {error.strerror}") from error
    except MediaError as error:
        raise SetInvalid(name, f"{entry.file}: {error}") from error
    if size is None:
        raise SetInvalid(name, f"{entry.file}: is no picture that Velum reads")
    stated, actual = (entry.width, entry.height), (size.width, size.height)
    if not {side for side in stated if side is not None} <= set(actual):
        raise SetInvalid(name, _disagreement(entry.file, stated, actual))


def _disagreement(file: str, stated: tuple[int | None, int | None], actual: tuple[int, int]) -> str:
    shown = " x ".join(str(side or "?") for side in stated)
    return f"{file}: is {actual[0]} x {actual[1]} pixels, {ANNOTATIONS} says {shown}"
