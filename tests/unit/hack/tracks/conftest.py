"""A drawn street, faces to cut out of drawn pictures, and what hides them: nothing here is fetched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.sets import LabelledSet, read_set
from evaluation.tracks import clips, paths, scene
from evaluation.tracks.crops import find_crops
from velum_pipeline.options import ObjectClass

SIZE = (320, 240)
FRAMES = 30
RATE = Fraction(25)


def face(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A wall with a face on it, and a freckled one: what has no detail cannot be seen to be hidden."""
    picture = np.full((120, 120, 3), 90, np.uint8)
    cv2.ellipse(picture, (60, 60), (24, 30), 0, 0, 360, colour, -1)
    for x, y in itertools.product((50, 70), (50, 52)):
        cv2.circle(picture, (x, y), 4, (20, 20, 20), -1)
    cv2.line(picture, (50, 78), (70, 78), (30, 20, 120), 3)
    noise = np.random.default_rng(0).integers(-3, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    """Two pictures with a face each, at 36..84 and 30..90, and a small one that is no use."""
    folder = tmp_path_factory.mktemp("faces")
    entries = []
    for name, colour in (("a.png", (140, 170, 220)), ("b.png", (30, 50, 180))):
        cv2.imwrite(str(folder / name), face(colour))
        objects = [{"cls": "face", "bbox": [36, 30, 84, 90]}, {"cls": "face", "bbox": [2, 2, 12, 12]}]
        entries.append({"file": name, "width": 120, "height": 120, "objects": objects})
    (folder / "annotations.json").write_text(json.dumps(entries))
    return read_set(folder, "drawn")


def street() -> Iterator[NDArray[np.uint8]]:
    """Stripes that move, and grain."""
    random = np.random.default_rng(1)
    columns = np.arange(SIZE[0])
    for number in range(FRAMES):
        row = 60 + 40 * np.sin((columns + 2 * number) / 17)
        picture = np.broadcast_to(row[None, :, None], (SIZE[1], SIZE[0], 3)) + random.normal(
            0, 3, (SIZE[1], SIZE[0], 3)
        )
        yield np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def background(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("street") / "street.mp4"
    clips.write(path, street(), RATE)
    return path


@pytest.fixture(scope="session")
def played(faces: LabelledSet) -> scene.Scene:
    """Four faces of 26 to 50 pixels that pass over the street, none behind another."""
    crops = find_crops([faces], ObjectClass.FACE)
    swing = (2.0, 1.0, 40.0, 0.0)
    ways = (
        paths.Path(0, FRAMES, (40, 45, 1.5, 0.0), swing, (32, 32)),
        paths.Path(5, FRAMES, (330, 120, -3.0, 0.0), swing, (40, 40)),
        paths.Path(0, FRAMES, (80, 190, 0.5, 0.1), swing, (30, 50)),
        paths.Path(0, 20, (240, 200, 0.0, 0.0), swing, (26, 26)),
    )
    return scene.Scene(tuple(scene.Actor(crops[n % 2], way) for n, way in enumerate(ways)), SIZE, FRAMES)


@pytest.fixture(scope="session")
def clip(played: scene.Scene, background: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.mp4"
    clips.made(played, background, path, RATE)
    return path


Edit = Callable[[int, NDArray[np.uint8]], NDArray[np.uint8]]


@pytest.fixture
def edited(clip: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """edited(change): the made clip with every frame changed, encoded again."""
    numbers = itertools.count()

    def edited(change: Edit) -> Path:
        path = tmp_path / f"edited-{next(numbers)}.mp4"
        clips.write(path, (change(number, each) for number, each in enumerate(clips.frames(clip))), RATE, quality="20")
        return path

    return edited
