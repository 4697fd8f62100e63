"""Segments cover the video once, begin at key frames, and are neither tiny nor longer than key frames force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.videos.plain import PLAIN
from velum_pipeline.video.description import Video
from velum_pipeline.video.segments import Segment, segments


def video(frames: int, keys: list[int]) -> Video:
    return replace(PLAIN, pts=np.arange(frames), end=frames, keys=np.array(keys, np.int64))


def cut(frames: int, keys: list[int], target: int) -> list[tuple[int, int]]:
    return [(each.first, each.stop) for each in segments(video(frames, keys), target)]


def test_cuts_at_the_first_key_frame_from_the_target_on() -> None:
    assert cut(100, [0, 10, 20, 30, 60, 90], 25) == [(0, 30), (30, 60), (60, 100)]


def test_a_small_rest_goes_to_its_neighbour() -> None:
    assert cut(100, [0, 40, 80, 90], 40) == [(0, 40), (40, 80), (80, 100)]
    assert cut(99, [0, 40, 80, 90], 40) == [(0, 40), (40, 99)]


def test_one_key_frame_is_one_segment() -> None:
    assert segments(video(500, [0]), 100) == [Segment(0, 0, 500)]


def test_every_frame_a_key_frame_gives_segments_of_the_target() -> None:
    assert cut(100, list(range(100)), 40) == [(0, 40), (40, 80), (80, 100)]


def test_the_target_is_positive() -> None:
    with pytest.raises(ValueError, match="a segment of 0 frames"):
        segments(video(10, [0]), 0)


@given(st.integers(1, 400), st.sets(st.integers(1, 399)), st.integers(1, 120))
def test_covers_every_frame_once(frames: int, keys: set[int], target: int) -> None:
    starts = [0, *sorted(key for key in keys if key < frames)]
    found = segments(video(frames, starts), target)
    assert [each.number for each in found] == list(range(len(found)))
    assert [row for each in found for row in range(each.first, each.stop)] == list(range(frames))
    assert all(each.first in starts for each in found)
    assert all(each.stop - each.first >= target for each in found[:-1])
    assert len(found) == 1 or 2 * (found[-1].stop - found[-1].first) >= target
