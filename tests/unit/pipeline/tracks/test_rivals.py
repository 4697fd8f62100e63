"""Two objects cross, and each is missed where the other is found: what is linked then is of two objects."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from unit.pipeline.tracks.made import Frame, tracked
from unit.pipeline.tracks.ways import covered
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass
from velum_pipeline.tracks import Tracked

SIZE = (3000, 2000)
EVERY = 5
FRAMES = 100
WAYS = {"small": (60.0, 10.2, -14.9), "large": (78.0, 19.7, -12.6)}
"""Side, and pixels a frame across and down; both are in the middle in frame 50."""
MISSED = {"small": {40}, "large": {45}}


def box(name: str, frame: int) -> np.ndarray:
    side, *speed = WAYS[name]
    middle = np.array(SIZE) / 2 + (frame - 50) * np.array(speed)
    return np.concatenate([middle - side / 2, middle + side / 2])


def looks(missed: Mapping[str, set[int]], names: tuple[str, ...] = tuple(WAYS)) -> list[Frame]:
    frames = []
    for frame in range(FRAMES):
        boxes = np.array([box(name, frame) for name in names if frame not in missed.get(name, ())]).reshape(-1, 4)
        found = Detections(boxes, np.full(len(boxes), 0.9), np.full(len(boxes), ObjectClass.FACE, object))
        frames.append(Frame(frame, None if frame % EVERY else found))
    return frames


def never_seen(answers: Mapping[int, Tracked]) -> set[int]:
    every = {track for answer in answers.values() for track in answer.tracks.tolist()}
    return every - {track for answer in answers.values() for track in answer.tracks[answer.seen].tolist()}


@pytest.mark.parametrize("swapped", [False, True])
def test_each_is_covered_where_the_other_is_found(swapped: bool) -> None:
    missed = dict(zip(MISSED, reversed(MISSED.values()), strict=True)) if swapped else MISSED
    answers = tracked(looks(missed), EVERY, SIZE)
    shown = {
        (name, frame): round(share, 2)
        for name in WAYS
        for frame in range(20, 80)
        if (share := covered(box(name, frame), answers[frame].detections.boxes)) < 0.98
    }
    assert not shown


def test_what_may_be_hidden_is_a_track_of_its_own() -> None:
    answers = tracked(looks(MISSED), EVERY, SIZE)
    own = never_seen(answers)
    assert own
    assert all(len(set(answer.tracks.tolist())) == len(answer.tracks) for answer in answers.values())
    there = [frame for frame, answer in answers.items() if own & set(answer.tracks.tolist())]
    assert set(there) <= set(range(30, 65))


@pytest.mark.parametrize("names", [("small",), ("large",)])
@pytest.mark.parametrize("missed", [set(), {40}, {40, 45}])
def test_nothing_is_added_where_nothing_else_is(names: tuple[str, ...], missed: set[int]) -> None:
    assert not never_seen(tracked(looks(dict.fromkeys(names, missed), names), EVERY, SIZE))


def test_nothing_is_added_where_both_are_found() -> None:
    assert not never_seen(tracked(looks({}), EVERY, SIZE))


def test_nothing_is_added_behind_a_cut() -> None:
    """What was missed behind it is of another scene."""
    told = [Frame(each.ordinal, each.found, each.ordinal == 48) for each in looks(MISSED)]
    answers = tracked(told, EVERY, SIZE)
    alone = tracked(told[:48], EVERY, SIZE)
    for frame in range(48):
        np.testing.assert_array_equal(answers[frame].detections.boxes, alone[frame].detections.boxes)
