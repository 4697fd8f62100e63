"""What people labelled. The form of a set's ``annotations.json``: a list of

    {"file": NAME, "width": W, "height": H, "labelled_classes": [CLASS, ...],
     "objects": [{"cls": CLASS, "bbox": [x1, y1, x2, y2], "ignore": false?, "name": NAME?}]}

in pixels of the picture as stored, which lies in the set's folder ``images``. Other keys are left alone.

Every step reads a picture as it is stored, too. `hack/evaluate` turns pictures as their EXIF asks, so the kept back
ones would not fit their labels there, were any turned; no picture of these sets asks for it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, field_validator

from training.errors import SetInvalid
from velum_pipeline import media
from velum_pipeline.errors import MediaError

ANNOTATIONS = "annotations.json"
IMAGES = "images"
HEAD_BYTES = 1 << 18
"""Enough of a picture for its size."""
OTHER_NAMES = frozenset({"bicycle", "train"})
"""What sets call vehicles and the product does not hide; close enough to one to be no background either."""

Cls = Literal["face", "license-plate", "person", "vehicle"]


class HandObject(BaseModel):
    """One object as somebody drew it; ``name`` is the set's own word for it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    cls: Cls
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    ignore: bool = False
    name: str = ""

    @property
    def doubtful(self) -> bool:
        """Whether it counts neither as object nor as background."""
        return self.ignore or self.name in OTHER_NAMES


class HandPicture(BaseModel):
    """One picture and what people drew in it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    file: Annotated[str, Field(min_length=1)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    labelled_classes: tuple[Cls, ...]
    objects: tuple[HandObject, ...]

    @field_validator("file")
    @classmethod
    def _below(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("file must lie below the set's folder images")
        return file


_PICTURES = TypeAdapter(list[HandPicture])


def read_set(data: Path, name: str) -> list[HandPicture]:
    """The pictures of a set, each of them there, sorted as people count. Raises SetInvalid naming the place."""
    path = data / name / ANNOTATIONS
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SetInvalid(name, f"{ANNOTATIONS} is not JSON: {error}") from error
    try:
        pictures = _PICTURES.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        raise SetInvalid(name, f"{ANNOTATIONS}{place}{_file(content, first['loc'])}: {problem}") from error
    seen = set()
    for picture in pictures:
        if picture.file in seen:
            raise SetInvalid(name, f"{ANNOTATIONS} lists {picture.file} twice")
        seen.add(picture.file)
        _check_picture(data / name / IMAGES / picture.file, picture, name)
        _check_boxes(picture, name)
    return sorted(pictures, key=lambda picture: natural(picture.file))


def natural(file: str) -> list[tuple[int, str]]:
    """A sorting key that puts frame 9 before frame 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", file)]


def _file(content: Any, place: tuple[int | str, ...]) -> str:
    picture = content[place[0]] if isinstance(content, list) and place and isinstance(place[0], int) else None
    return f" ({picture['file']})" if isinstance(picture, dict) and "file" in picture else ""


def _check_picture(path: Path, picture: HandPicture, name: str) -> None:
    """Stop before an hour of training on boxes that lie elsewhere, not after it."""
    try:
        with path.open("rb") as stream:
            size = media.probe(stream.read(HEAD_BYTES))
    except (OSError, MediaError) as error:
        raise SetInvalid(name, f"{IMAGES}/{picture.file}: {getattr(error, 'strerror', None) or error}") from error
    if size is None:
        raise SetInvalid(name, f"{IMAGES}/{picture.file} is no picture that Velum reads")
    if (size.width, size.height) != (picture.width, picture.height):
        said = f"{ANNOTATIONS} says {picture.width} x {picture.height}"
        raise SetInvalid(name, f"{IMAGES}/{picture.file} is {size.width} x {size.height} pixels, {said}")


def _check_boxes(picture: HandPicture, name: str) -> None:
    for number, item in enumerate(picture.objects):
        x1, y1, x2, y2 = item.bbox
        inside = x1 >= -1 and y1 >= -1 and x2 <= picture.width + 1 and y2 <= picture.height + 1
        if x2 <= x1 or y2 <= y1 or not inside:
            said = f"bbox {list(item.bbox)} is no box in {picture.width} x {picture.height} pixels"
            raise SetInvalid(name, f"{ANNOTATIONS}: {picture.file}: objects[{number}]: {said}")
