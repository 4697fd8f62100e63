"""Objects to learn from: each with its surroundings, at one scale, so that a step costs the same whatever the picture.

Persons and vehicles of the sets that shipped weights may use. Those with a mask teach the mask; those with a box only
are there for `teach`, riders left out. Which picture is kept back is told from its name, so that it stays so whatever
else is there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.errors import SetInvalid
from training.labels.boxes import area, shared
from training.labels.hand import ANNOTATIONS, IMAGES, HandObject, HandPicture, read_set
from training.outlines.masks import Bits, drawn, placed
from training.outlines.windows import SIDE, Box, Matrix, Pixels, warped

CLASSES = ("person", "vehicle")
SURROUNDINGS = 0.4
"""Of the box's sides, kept on each of them: the margin, and room to jitter and turn."""
LONGER = 1.3 * SIDE
"""The longer side of a kept box in pixels, so that a crop of it is neither a sieve nor a blur of its own making."""
SMALLEST = 10.0
"""Pixels, root of the box's area: below that nobody drew an outline worth learning."""
KEPT_BACK = {"coco_tiny": 6, "ccp_street": 12}
"""One picture in so many is for validation. Of few masks a larger part, or their tenth percentile would be luck."""
TWO_WHEELED = frozenset({"motorbike", "motorcycle", "bicycle"})
"""What sets call them."""
RIDING = 0.3
"""Of a person's box inside the box of something with two wheels. Such a person's mask is not taught: highway_id's boxes
keep rider and motorbike apart, but the masks that were taught of riders took the motorbike along in more than half of
the 24 that were looked at."""
MASKED, BOXED = ("coco_tiny", "ccp_street"), ("highway_id", "openimages_lp")


@dataclass(frozen=True)
class Source:
    """One object as a set has it. mask: polygons, run lengths or None; box in pixels of the picture."""

    set: str
    file: str
    number: int
    cls: str
    box: Box
    mask: Any
    width: int
    height: int

    @property
    def key(self) -> str:
        """Says which object it is."""
        return f"{self.set}/{self.file}#{self.number}"

    @property
    def validation(self) -> bool:
        """Whether its picture is kept back."""
        part = KEPT_BACK.get(self.set)
        return part is not None and zlib.crc32(self.file.encode()) % part == 0


@dataclass(frozen=True)
class Example:
    """One object with its surroundings.

    pixels: RGB uint8 (h, w, 3). mask: uint8 (h, w), 255 where the object is, or None. certain: bool (h, w) where a
    taught mask is believed, None: everywhere. box: in these pixels. scale: these pixels per pixel of the picture.
    """

    source: Source
    pixels: Pixels
    mask: Pixels | None
    certain: NDArray[np.bool_] | None
    box: Box
    scale: float

    def kept(self, box: Box) -> Box:
        """A box of the picture in these pixels."""
        (scale, _, left), (_, _, top) = surroundings(self.source)[0].tolist()
        return box[0] * scale + left, box[1] * scale + top, box[2] * scale + left, box[3] * scale + top


def read_sources(data: Path, names: Iterable[str], left_out: Mapping[str, Mapping[str, str]]) -> list[Source]:
    """Every object of those of these sets that are there. Raises SetInvalid naming set and file."""
    there = [name for name in names if (data / name).is_dir()]
    return [source for name in there for source in _of_set(data, name, left_out.get(name, {}))]


def empty_pictures(data: Path, name: str) -> list[str]:
    """Files of a set that show no person and no vehicle as far as it says. Raises SetInvalid."""
    pictures = read_set(data, name)
    return [one.file for one in pictures if not any(item.cls in CLASSES for item in one.objects)]


def _of_set(data: Path, name: str, left_out: Mapping[str, str]) -> Iterator[Source]:
    pictures = [picture for picture in read_set(data, name) if picture.file not in left_out]
    masks = {
        entry["file"]: [item.get("mask") for item in entry["objects"]]
        for entry in json.loads((data / name / ANNOTATIONS).read_bytes())
    }
    for picture in pictures:
        for number, (item, mask) in enumerate(zip(picture.objects, masks[picture.file], strict=True)):
            if item.cls not in CLASSES or item.doubtful or area(item.bbox) < SMALLEST**2:
                continue
            if mask is not None or not _rides(item, picture):
                yield Source(name, picture.file, number, item.cls, item.bbox, mask, picture.width, picture.height)


def _rides(item: HandObject, picture: HandPicture) -> bool:
    """Whether a person is on something with two wheels, or so near that one cannot tell."""
    wheeled = (other.bbox for other in picture.objects if other.name in TWO_WHEELED)
    return item.cls == "person" and any(shared(item.bbox, box) > RIDING * area(item.bbox) for box in wheeled)


def read_examples(data: Path, sources: Iterable[Source]) -> list[Example]:
    """The objects with their surroundings; each picture is read once when its objects follow each other."""
    examples = []
    path, pixels = None, np.zeros((0, 0, 3), np.uint8)
    for source in sources:
        wanted = data / source.set / IMAGES / source.file
        if wanted != path:
            path, pixels = wanted, read_rgb(wanted, source.set)
        examples.append(_example(source, pixels))
    return examples


def read_rgb(path: Path, name: str) -> Pixels:
    """A picture of a set as it is stored (training.labels.hand), RGB uint8 (H, W, 3). Raises SetInvalid."""
    read = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if read is None:
        raise SetInvalid(name, f"{path.name} cannot be read")
    return np.asarray(read, np.uint8)


def _example(source: Source, pixels: Pixels) -> Example:
    matrix, (width, height), box, scale = surroundings(source)
    side = max(width, height)
    mask = None
    if source.mask is not None:
        try:
            mask = drawn(source.mask, source.width, source.height, matrix, (width, height))
        except ValueError as error:
            raise SetInvalid(source.set, f"{source.file}: objects[{source.number}]: {error}") from error
    kept = np.ascontiguousarray(warped(pixels, matrix, side)[:height, :width])
    return Example(source, kept, mask, None, box, scale)


def surroundings(source: Source) -> tuple[Matrix, tuple[int, int], Box, float]:
    """What is kept around an object: the map from the picture, the size kept, the box in it and the scale."""
    x1, y1, x2, y2 = source.box
    across, down = SURROUNDINGS * (x2 - x1), SURROUNDINGS * (y2 - y1)
    left, top = max(0.0, x1 - across), max(0.0, y1 - down)
    right, bottom = min(float(source.width), x2 + across), min(float(source.height), y2 + down)
    scale = LONGER / max(x2 - x1, y2 - y1)
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    box = ((x1 - left) * scale, (y1 - top) * scale, (x2 - left) * scale, (y2 - top) * scale)
    return matrix, size, box, scale


def taught(examples: Iterable[Example], masks: Mapping[str, tuple[Bits, Bits]]) -> list[Example]:
    """Those of the examples that were taught a mask: key to what is the object and what is in doubt, (H, W) each."""
    found = []
    for example in examples:
        if (pair := masks.get(example.source.key)) is None:
            continue
        matrix, size, _, _ = surroundings(example.source)
        mask, doubt = (placed(bits, matrix, size) for bits in pair)
        found.append(replace(example, mask=mask, certain=doubt < 128))
    return found
