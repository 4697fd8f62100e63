"""Objects that a detector loses for ten frames stay hidden: labelled objects sent over a real street along known paths.

The detector knows where they are, give or take what detectors err by, except in the frames in which it is made blind.
Where they are hidden is read from the metadata: that hidden pixels are gone is tried elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evaluation.sets import find_sets
from evaluation.tracks import clips, scene
from evaluation.tracks.crops import find_crops
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.video.clip import anonymize
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.wishes import Wishes

ACTORS = 12
LOST = 10
"""Frames in a row, as docs/video.md promises."""
JITTER = 0.015
"""Of an object's size, by which the detector errs."""
HALF = 0.5
"""Of an object, that a frame must show for it to have to be hidden there."""
COVERED = 0.98
NAMES = tuple(ObjectClass)


class Street:
    """A made clip, what is in each of its frames, and a detector that is told."""

    def __init__(self, data: Path, folder: Path) -> None:
        background = data / "video" / "london_street_720p.mp4"
        size, self.frames, rate = clips.described(background)
        crops = {name: find_crops(find_sets(data / "eval"), name) for name in NAMES}
        self.scene = scene.make(crops, size, self.frames, ACTORS, seed=61)
        self.path = folder / "street.mp4"
        clips.made(self.scene, background, self.path, rate)
        self.shown = [
            [item for item in self.scene.truth(number) if item.share >= HALF] for number in range(self.frames)
        ]

    def lost(self, every: int, ends: bool, seed: int) -> set[tuple[int, int]]:
        """(track, frame) in which nothing is seen: ten in a row again and again, ``ends``: the first and last too."""
        random = np.random.default_rng(seed)
        lost: set[tuple[int, int]] = set()
        for track in range(ACTORS):
            alive = [number for number, items in enumerate(self.shown) if any(item.track == track for item in items)]
            if not alive:
                continue
            first, last = alive[0], alive[-1] + 1
            seen = 3 * every  # three looks, by which its motion is known
            if ends:
                lost |= {(track, number) for number in [*range(first, first + LOST), *range(last - LOST, last)]}
                first, last = first + LOST, last - LOST
            at = first + seen + int(random.integers(1, 8))
            while at + LOST + seen < last:
                lost |= {(track, number) for number in range(at, at + LOST)}
                at += LOST + seen + int(random.integers(1, 8))
        return lost

    def looks(self, every: int, lost: set[tuple[int, int]], seed: int) -> Iterator[Detections]:
        """What the detector says of each frame that it is shown."""
        random = np.random.default_rng(seed)
        for number in range(0, self.frames, every):
            items = [item for item in self.shown[number] if (item.track, number) not in lost]
            boxes = np.array([item.box for item in items], np.float32).reshape(-1, 4)
            sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1, keepdims=True))
            classes = as_classes([self.scene.actors[item.track].crop.object_class for item in items])
            yield Detections(
                boxes + random.normal(0, JITTER, boxes.shape) * sides, np.full(len(items), 0.9, np.float32), classes
            )


@pytest.fixture(scope="module")
def street(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Street:
    return Street(data, tmp_path_factory.mktemp("street"))


@pytest.mark.parametrize("ends", [False, True], ids=["holes", "holes and ends"])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_nothing_is_in_sight_while_a_detector_misses_it(street: Street, tmp_path: Path, every: int, ends: bool) -> None:
    lost = street.lost(every, ends, seed=every)
    assert len(lost) > 300, "else nothing is tried"
    looks = street.looks(every, lost, seed=every)
    options = Options(Method.DETECT, {name: ClassOptions.default(name) for name in NAMES})
    wishes = Wishes(options, Encoding(), "street.mp4", key=bytes(16), every=every, threads=1)
    told = tmp_path / "told.json"

    def opener() -> object:
        return street.path.open("rb")

    anonymize(
        opener,  # type: ignore[arg-type]
        probe(opener),  # type: ignore[arg-type]
        wishes,
        lambda pictures, _: [next(looks) for _ in pictures],
        tmp_path / "none.mp4",
        metadata=told,
    )
    frames = json.loads(told.read_text())
    width, height = street.scene.size
    exposed = []
    for number, (items, frame) in enumerate(zip(street.shown, frames, strict=True)):
        hidden = np.zeros((height, width), np.bool_)
        for x1, y1, x2, y2 in (entry["bbox"] for entry in frame["detections"]):
            hidden[y1:y2, x1:x2] = True
        for item in items:
            x1, y1, x2, y2 = (round(float(edge)) for edge in item.box)
            inside = hidden[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
            if (item.track, number) in lost and inside.mean() < COVERED:
                exposed.append((number, item.track, round(float(inside.mean()), 2)))
    assert exposed == []
