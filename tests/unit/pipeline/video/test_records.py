"""What is counted of a video: objects that somebody saw, each once, however many segments they are in."""

import json
from pathlib import Path

import numpy as np

from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.tracks import Tracked
from velum_pipeline.video.records import Anchors, Recorder, Records, Shown, assemble

SHOWN = Shown("street.mp4", (160, 120), 0.0, 0.04)
SIGHTING: Anchors = frozenset({(0, 0, 0)})
SUSPECTED: Anchors = frozenset({(0, 0, -1)})


def frame(ordinal: int, tracks: dict[int, tuple[bool, Anchors]]) -> Tracked:
    """A frame with a face for each track: whether it is seen, and what it rests on."""
    count = len(tracks)
    boxes = np.tile(np.array([[10, 10, 40, 40]], np.float32), (count, 1))
    found = Detections(boxes, np.full(count, 0.9, np.float32), as_classes([ObjectClass.FACE] * count))
    seen = np.array([each for each, _ in tracks.values()])
    return Tracked(ordinal, found, np.array(list(tracks), np.int64), seen, tuple(each for _, each in tracks.values()))


def segment(path: Path, *frames: Tracked) -> Records:
    with Recorder(path, Method.DETECT) as recorder:
        for each in frames:
            recorder.frame(SHOWN, each, [None] * len(each.tracks))
    return Records(path, recorder.tracks())


def test_an_object_is_counted_once_and_what_only_may_be_one_not_at_all(tmp_path: Path) -> None:
    parts = [
        segment(
            tmp_path / "1", frame(0, {4: (True, SIGHTING), 5: (False, SUSPECTED)}), frame(1, {4: (False, SIGHTING)})
        ),
        segment(tmp_path / "2", frame(2, {0: (False, SIGHTING), 1: (False, frozenset({(9, 0, -1)}))})),
    ]
    told = assemble(parts, tmp_path / "metadata.json", tmp_path / "metadata.index")
    assert (told.frames, told.counts) == (3, {"face": 1})
    pages = json.loads((tmp_path / "metadata.json").read_text())
    assert [[entry["track_id"] for entry in page["detections"]] for page in pages] == [[0, 1], [0], [0, 2]]
