"""Frames and their times from packets, and from a decoder's output where packets do not say."""

from __future__ import annotations

import numpy as np
import pytest

from velum_pipeline.errors import UnsupportedMedia
from velum_pipeline.video.timestamps import MISSING, Packets, counted, timeline

K, H = Packets.KEY, Packets.HIDDEN


def packets(*rows: tuple[int, int]) -> Packets:
    """From (pts, flags) in order of decoding; each lasts 10."""
    made = Packets()
    for pts, flags in rows:
        made.pts.append(pts)
        made.dts.append(MISSING)
        made.durations.append(10)
        made.flags.append(flags)
    return made


def test_sorts_by_time() -> None:
    found = timeline(packets((0, K), (30, 0), (10, 0), (20, 0), (40, K), (50, 0)), 10)
    assert found is not None
    assert (found.pts.tolist(), found.keys.tolist(), found.end) == ([0, 10, 20, 30, 40, 50], [0, 4], 60)


def test_leading_pictures_of_a_later_key_frame_stay() -> None:
    found = timeline(packets((0, K), (10, 0), (40, K), (20, 0), (30, 0), (50, 0)), 10)
    assert found is not None
    assert (found.pts.tolist(), found.keys.tolist()) == ([0, 10, 20, 30, 40, 50], [0, 4])


def test_what_cannot_be_decoded_at_the_start_is_no_frame() -> None:
    found = timeline(packets((-20, 0), (-10, 0), (20, K), (0, 0), (10, 0), (30, 0)), 10)
    assert found is not None
    assert found.pts.tolist() == [20, 30]


def test_hidden_frames_are_none() -> None:
    found = timeline(packets((-20, K | H), (-10, H), (0, 0), (10, 0), (20, K)), 10)
    assert found is not None
    assert (found.pts.tolist(), found.keys.tolist()) == ([0, 10, 20], [0, 2])


def test_the_last_frames_length_is_its_packets_or_the_usual() -> None:
    made = packets((0, K), (12, 0), (24, 0))
    made.durations[-1] = 0
    found = timeline(made, 5)
    assert found is not None
    assert found.end == 36
    single = packets((7, K))
    single.durations[0] = 0
    alone = timeline(single, 5)
    assert alone is not None
    assert alone.end == 12


@pytest.mark.parametrize(
    "rows",
    [
        [(0, K), (MISSING, 0), (20, 0)],
        [(0, K), (10, 0), (10, 0)],
        [(0, 0), (10, 0)],
        [(MISSING, K)],
        [],
        [*((number * 10, K) for number in range(500, 700)), *((number * 10, K) for number in range(200))],
        [(500, K), (510, 0), (0, K), (10, 0)],
        [(500, K), (0, K), (10, 0)],
        [(0, K), *((number * 10, 0) for number in range(100, 200)), (10, 0)],
    ],
    ids=["missing", "twice", "no key", "no time", "empty", "clock starts again", "later", "at once", "far behind"],
)
def test_does_not_guess(rows: list[tuple[int, int]]) -> None:
    assert timeline(packets(*rows), 10) is None


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        ([0, None, 20, None, None], [0, 10, 20, 30, 40]),
        ([None, None], [0, 10]),
        ([5, 5, 15, 15], [5, 6, 15, 16]),
        ([500, 510, 520, 0, 10], [500, 510, 520, 530, 540]),
        ([500, 510, 505, None], [500, 511 - 1, 511, 521]),
    ],
    ids=["gaps", "none", "twice", "clock starts again", "a little back"],
)
def test_counted_frames_have_times_that_rise(shown: list[int | None], wanted: list[int]) -> None:
    found = counted([(pts, row == 1) for row, pts in enumerate(shown)], 10, 100)
    assert found.pts.tolist() == wanted
    assert found.keys.tolist() == [0, 1]
    assert found.end > wanted[-1]


def test_a_long_run_of_anything_rises() -> None:
    chance = np.random.default_rng(3)
    for _ in range(50):
        shown = [None if chance.random() < 0.2 else int(value) for value in chance.integers(-500, 500, 80)]
        found = counted([(pts, False) for pts in shown], 10, 100)
        assert len(found.pts) == 80
        assert (np.diff(found.pts) > 0).all()


def test_no_frame_is_no_video() -> None:
    with pytest.raises(UnsupportedMedia, match="no frame of the video decodes"):
        counted([], 10, 100)
