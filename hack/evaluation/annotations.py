"""The form of ``annotations.json``: a list of

    {"file": NAME, "width": W, "height": H, "only": [CLASS, ...]?,
     "objects": [{"cls": CLASS, "bbox": [x1, y1, x2, y2], "ignore": false?, "polygons": [[x, y, x, y, ...], ...]?}]}

in pixels of the picture as displayed. Other keys are left alone, and width and height may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
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
from velum_pipeline.options import ObjectClass

ANNOTATIONS = "annotations.json"
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


def read_entries(path: Path, name: str) -> Iterator[PictureEntry]:
    """The pictures that a file of the set ``name`` lists. Raises SetInvalid naming the place in it."""
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
