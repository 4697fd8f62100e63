"""Labelled faces for the attacks, each scaled to the same box in a scene of its own.

All boxes have one size, because who knows the size of a hidden box would pair it with an original of that size, and the
attack would measure the labels, not the redaction. A scene is as large as the widest region (three boxes), so that
whatever lies around a face in its picture is there; beyond the picture, its edge goes on. Scenes stand on one sheet,
which a redaction takes as a picture with many faces.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.annotations import ANNOTATIONS, class_named, read_entries
from evaluation.errors import SetInvalid
from evaluation.sets import find_sets
from velum_pipeline.options import ObjectClass

Pixels: TypeAlias = NDArray[np.uint8]
WIDTH, HEIGHT = 64, 80
"""Pixels of a face's box. Of the 300 largest faces of the shared sets half are 37 pixels wide or more, a tenth 73."""
AROUND = 3
"""A scene is so many boxes wide and high: a region grows to as much (gradient 2.0)."""
ACROSS = 20
"""Scenes in a row of the sheet."""


@dataclass(frozen=True)
class Source:
    """One labelled face in its picture. box: x1 y1 x2 y2 in pixels."""

    path: Path
    box: tuple[float, float, float, float]

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True, eq=False)
class Faces:
    """N scenes on one sheet: uint8 BGR (H, W, 3). boxes: float32 (N, 4), x1 y1 x2 y2 in pixels of the sheet."""

    sheet: Pixels
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)

    def crops(self, sheet: Pixels | None = None, margin: int = 0) -> Pixels:
        """The boxes' pixels, of the originals or of another sheet, with so many more on each side.

        uint8 (N, HEIGHT, WIDTH, 3), without margin.
        """
        shown = self.sheet if sheet is None else sheet
        wide, high = WIDTH + 2 * margin, HEIGHT + 2 * margin
        corners = self.boxes[:, :2].astype(int) - margin
        return np.stack([shown[y : y + high, x : x + wide] for x, y in corners])


def on_a_sheet(scenes: Sequence[Pixels]) -> Faces:
    """Faces from scenes of AROUND x WIDTH by AROUND x HEIGHT pixels, the box in the middle."""
    wide, high = AROUND * WIDTH, AROUND * HEIGHT
    sheet = np.zeros((-(-len(scenes) // ACROSS) * high, min(len(scenes), ACROSS) * wide, 3), np.uint8)
    boxes = np.empty((len(scenes), 4), np.float32)
    for index, scene in enumerate(scenes):
        y, x = (index // ACROSS) * high, (index % ACROSS) * wide
        sheet[y : y + high, x : x + wide] = scene
        left, top = x + (wide - WIDTH) // 2, y + (high - HEIGHT) // 2
        boxes[index] = left, top, left + WIDTH, top + HEIGHT
    return Faces(sheet, boxes)


def gallery(folder: Path, count: int) -> tuple[list[Source], list[Source]]:
    """The ``count`` largest labelled faces of all sets below a folder, by their shorter side, and all the others.

    Raises SetInvalid when there are not as many.
    """
    found = [
        Source(picture.path, item.box)
        for labelled in find_sets(folder)
        for picture in labelled.pictures
        for item in picture.objects
        if item.object_class is ObjectClass.FACE and not item.ignore
    ]
    if len(found) < count:
        raise SetInvalid(str(folder), f"has {len(found)} labelled faces, the gallery needs {count} (--faces)")
    found.sort(key=lambda source: (-source.side, str(source.path), source.box))
    return found[:count], found[count:]


def others(folder: Path, smallest: float) -> list[Source]:
    """Faces to train on: of every set at or just below a folder, also where pictures lie in a folder ``images``."""
    found = []
    for path in sorted({*folder.glob(ANNOTATIONS), *folder.glob(f"*/{ANNOTATIONS}")}):
        inside = path.parent / "images"
        pictures = inside if inside.is_dir() else path.parent
        for entry in read_entries(path, path.parent.name):
            faces = (item for item in entry.objects if class_named(item.cls) is ObjectClass.FACE and not item.ignore)
            found += [Source(pictures / entry.file, item.bbox) for item in faces]
    return [source for source in found if source.side >= smallest]


def load(sources: Iterable[Source]) -> Faces:
    """The faces on a sheet, in their order. Raises SetInvalid naming the picture that cannot be read."""
    return on_a_sheet([_scene(_read(str(source.path)), source.box) for source in sources])


def _scene(picture: Pixels, box: Sequence[float]) -> Pixels:
    """A face with what lies around it, scaled so that its box is WIDTH x HEIGHT."""
    x1, y1, x2, y2 = box
    shrink = min(1.0, WIDTH / (x2 - x1), HEIGHT / (y2 - y1))
    if shrink < 1:  # warpAffine does not average: shrink first
        picture = np.asarray(cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
    across, down = WIDTH / (x2 - x1), HEIGHT / (y2 - y1)
    left, top = (AROUND - 1) / 2 * WIDTH - across * x1, (AROUND - 1) / 2 * HEIGHT - down * y1
    move = np.array([[across / shrink, 0, left], [0, down / shrink, top]])
    size = (AROUND * WIDTH, AROUND * HEIGHT)
    scene = cv2.warpAffine(picture, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(scene, np.uint8)


@lru_cache(maxsize=4)
def _read(path: str) -> Pixels:
    picture = cv2.imread(path, cv2.IMREAD_COLOR)  # turns it as EXIF says
    if picture is None:
        raise SetInvalid(path, "cannot be read")
    return np.asarray(picture, np.uint8)
