"""Labelled sets: a folder with pictures and an ``annotations.json``, a list of

    {"file": NAME, "width": W, "height": H, "only": [CLASS, ...]?,
     "objects": [{"cls": CLASS, "bbox": [x1, y1, x2, y2], "ignore": false?, "polygons": [[x, y, x, y, ...], ...]?}]}

in pixels of the picture as displayed. Other keys are left alone. A picture that cannot be read is an error, never an
omission: dropped pictures would raise the recall. A set labels the classes that occur in it, as objects, as ignored
objects or under ``only``; what a detector finds of other classes is neither right nor wrong there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from evaluation.errors import SetInvalid
from velum_pipeline import media
from velum_pipeline.errors import MediaError
from velum_pipeline.options import Limits, ObjectClass

ANNOTATIONS = "annotations.json"
HEAD_BYTES = 1 << 20
"""Enough of a file for its header, behind whatever EXIF and ICC blocks stand before it."""
OTHER_WORDS = {"plate": ObjectClass.LICENSE_PLATE}
"""Words for a class that sets use beside the contract's own."""


def class_named(word: str) -> ObjectClass:
    """The class that a set, a peer or a user means. Raises ValueError naming the words there are."""
    name = word.strip().lower().replace("_", "-")
    if name in OTHER_WORDS:
        return OTHER_WORDS[name]
    try:
        return ObjectClass(name)
    except ValueError:
        raise ValueError(f"unknown class {word!r}; one of {', '.join([*ObjectClass, *OTHER_WORDS])}") from None


def _word(value: Any) -> Any:
    if isinstance(value, str):
        class_named(value)
    return value


Word = Annotated[str, BeforeValidator(_word)]
Points = list[FiniteFloat] | list[tuple[FiniteFloat, FiniteFloat]]


class ObjectEntry(BaseModel):
    """One labelled object as it stands in the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    cls: Word
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    ignore: bool = False
    polygons: list[Points] | None = None

    @model_validator(mode="after")
    def _findable(self) -> Self:
        x1, y1, x2, y2 = self.bbox
        if not self.ignore and (x2 <= x1 or y2 <= y1):
            raise ValueError(f"bbox must be x1 < x2 and y1 < y2, got {list(self.bbox)}")
        return self

    @field_validator("polygons")
    @classmethod
    def _closed(cls, polygons: list[Points] | None) -> list[Points] | None:
        for points in polygons or []:
            if np.asarray(points).size % 2 or np.asarray(points).size < 6:
                raise ValueError("a polygon needs three points or more: [x, y, x, y, x, y, ...]")
        return polygons


class PictureEntry(BaseModel):
    """One picture as it stands in the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    file: Annotated[str, Field(min_length=1)]
    width: Annotated[int, Field(gt=0)] | None = None
    height: Annotated[int, Field(gt=0)] | None = None
    only: list[Word] = []
    objects: list[ObjectEntry]


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
        """BGR uint8 (H, W, 3) as displayed, decoded as Velum does it. Raises SetInvalid."""
        try:
            pixels = media.decode(picture.path.read_bytes(), Limits()).pixels
        except (OSError, MediaError) as error:
            raise SetInvalid(self.name, f"{picture.file}: cannot be read: {error}") from error
        stated, actual = self.sizes[picture.file], (pixels.shape[1], pixels.shape[0])
        if any(one is not None and one != other for one, other in zip(stated, actual, strict=True)):
            raise SetInvalid(self.name, _disagreement(picture.file, stated, actual))
        return pixels


def find_sets(folder: Path) -> list[LabelledSet]:
    """Every set at or below a folder, by name: its path from there. Raises SetInvalid, also when there is none."""
    if not folder.is_dir():
        raise SetInvalid(str(folder), "is not a folder")
    found = sorted(path for path in folder.rglob(ANNOTATIONS) if path.is_file())
    if not found:
        raise SetInvalid(str(folder), f"there is no {ANNOTATIONS} at or below it")
    names = [path.parent.relative_to(folder).as_posix() for path in found]
    return [
        read_set(path.parent, folder.resolve().name if name == "." else name)
        for name, path in zip(names, found, strict=True)
    ]


def read_set(folder: Path, name: str) -> LabelledSet:
    """One set, its pictures there and their headers checked. Raises SetInvalid."""
    entries = list(_entries(folder / ANNOTATIONS, name))
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


def _entries(path: Path, name: str) -> Iterator[PictureEntry]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SetInvalid(name, f"{ANNOTATIONS} is not JSON: {error}") from error
    if not isinstance(data, list):
        raise SetInvalid(name, f"{ANNOTATIONS} is not a list of pictures")
    for index, item in enumerate(data):
        try:
            yield PictureEntry.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (index, *first["loc"]))
            named = item.get("file") if isinstance(item, dict) else None
            place += f" ({named})" if named else ""
            problem = first["msg"].removeprefix("Value error, ")
            raise SetInvalid(name, f"{ANNOTATIONS}{place}: {problem}") from error


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
