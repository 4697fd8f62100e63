"""Tracks from an ensemble's looks."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.tracks import pseudo

NOTHING = np.zeros((0, 4), np.float32)


def box(x: float, y: float = 50, size: float = 20) -> np.ndarray:
    return np.array([[x, y, x + size, y + size]], np.float32)


def test_looks_become_tracks_and_gaps_are_filled() -> None:
    looks = [box(10 + 2 * number) for number in range(12)]
    looks[4] = looks[5] = NOTHING
    (track,) = pseudo.linked(looks)
    assert list(track) == list(range(12))
    assert track[4] == pytest.approx((18, 50, 38, 70))


def test_what_was_seen_too_seldom_or_too_small_is_left_out() -> None:
    assert pseudo.linked([box(10)] * (pseudo.BELIEVED - 1)) == []
    assert pseudo.linked([box(10, size=8)] * 20) == []
    assert len(pseudo.linked([box(10)] * pseudo.BELIEVED)) == 1


def test_objects_that_pass_each_other_stay_two_and_long_gaps_end_a_track() -> None:
    looks = [np.concatenate([box(10 + 3 * number), box(100 - 3 * number, y=75)]) for number in range(20)]
    assert [len(track) for track in pseudo.linked(looks)] == [20, 20]
    apart = [box(10)] * 8 + [NOTHING] * (pseudo.GAP + 1) + [box(10)] * 8
    assert [min(track) for track in pseudo.linked(apart)] == [0, 8 + pseudo.GAP + 1]
    together = [box(10)] * 8 + [NOTHING] * pseudo.GAP + [box(10)] * 8
    assert [len(track) for track in pseudo.linked(together)] == [16 + pseudo.GAP]


def test_the_truth_is_the_ellipse_that_lies_in_the_picture() -> None:
    truth = pseudo.truth(
        [{3: (10.0, 20.0, 50.0, 60.0), 4: (-20.0, 20.0, 20.0, 60.0), 5: (90.0, 0.0, 99.0, 9.0)}], (80, 80)
    )
    (whole,) = truth(3)
    assert (whole.x, whole.y, whole.pixels.shape) == (10, 20, (40, 40))
    assert whole.pixels.sum() == pytest.approx(np.pi * 400, rel=0.01)
    (half,) = truth(4)
    assert half.share == pytest.approx(0.5, abs=0.02)
    assert truth(5) == truth(0) == []
