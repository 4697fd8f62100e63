"""What is said of a frame depends on the frames within the radius only: pieces give what the whole does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unit.pipeline.tracks.made import SIZE, THRESHOLDS, Street, tracked
from velum_pipeline.tracks import CUT_MEMORY, Tracked, Tracker

EVERY = st.sampled_from([1, 2, 3, 4, 5, 8])


def same(one: Tracked, other: Tracked) -> None:
    """Bit for bit, but for the tracks' numbers."""
    a, b = one.detections, other.detections
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(one.seen, other.seen)
    assert a.classes.tolist() == b.classes.tolist()
    assert one.anchors == other.anchors
    assert (a.corners is None) == (b.corners is None)
    if a.corners is not None and b.corners is not None:
        np.testing.assert_array_equal(a.corners, b.corners)
    assert (a.masks is None) == (b.masks is None)
    for mine, theirs in zip(a.masks or (), b.masks or (), strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert (mine.x, mine.y) == (theirs.x, theirs.y)
            np.testing.assert_array_equal(mine.bits, theirs.bits)


@settings(max_examples=25)
@given(st.integers(0, 2**32), EVERY, st.integers(0, 40), st.integers(1, 20), st.integers(2, 25))
def test_a_piece_with_its_margins_gives_what_the_whole_gives(
    seed: int, every: int, first: int, length: int, objects: int
) -> None:
    radius = Tracker(THRESHOLDS, SIZE, every).radius
    first += radius
    told = Street(seed, first + length + radius + 60, every, objects).told()
    whole = tracked(told, every)
    piece = tracked([each for each in told if first - radius <= each.ordinal < first + length + radius], every)
    names: dict[int, int] = {}
    for ordinal in range(first, first + length):
        assert (ordinal in whole) == (ordinal in piece)
        if ordinal in whole:
            same(whole[ordinal], piece[ordinal])
            for mine, theirs in zip(whole[ordinal].tracks.tolist(), piece[ordinal].tracks.tolist(), strict=True):
                assert names.setdefault(mine, theirs) == theirs
    assert len(set(names.values())) == len(names)


@settings(max_examples=12)
@given(st.integers(0, 2**32), EVERY, st.integers(2, 25))
def test_anchors_tell_which_tracks_go_on_over_a_border(seed: int, every: int, objects: int) -> None:
    whole = list(tracked(Street(seed, 80, every, objects, outlined=False).told(), every).values())
    for before, after in pairwise(whole):
        tracks = dict(zip(after.tracks.tolist(), after.anchors, strict=True))
        for track, anchors in zip(before.tracks.tolist(), before.anchors, strict=True):
            for other, theirs in tracks.items():
                assert bool(anchors & theirs) == (track == other)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 10])
def test_frames_come_as_soon_as_the_radius_allows(every: int) -> None:
    tracker = Tracker(THRESHOLDS, SIZE, every)
    told = Street(1, 3 * tracker.radius, every).told()
    for frame in told:
        for answer in tracker.push(frame.ordinal, frame.found, frame.cut):
            assert answer.ordinal + tracker.radius <= frame.ordinal
        assert len(tracker._waiting) <= tracker.radius
    assert Tracker.reach(every) == tracker.radius + CUT_MEMORY


def test_looks_at_every_frame_are_held_for_little_more_than_a_second() -> None:
    assert Tracker.reach(1) <= 45


def test_frames_that_do_not_rise_are_refused() -> None:
    tracker = Tracker(THRESHOLDS, SIZE)
    tracker.push(3, None, False)
    with pytest.raises(ValueError, match="frame 3 after frame 3"):
        tracker.push(3, None, False)


def test_a_long_video_takes_no_more_memory() -> None:
    tracker = Tracker(THRESHOLDS, SIZE)
    held = []
    for frame in Street(5, 1500, objects=3, outlined=False).told():
        tracker.push(frame.ordinal, frame.found, frame.cut)
        lanes = tracker._lanes.values()
        held.append(sum(len(lane._nodes["time"]) + len(lane._looks) + len(lane._rows) for lane in lanes))
    assert max(held[1000:]) <= 1.1 * max(held[:700])
