"""A description goes through bytes unchanged, and a matrix becomes the turn it stands for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.videos.plain import PLAIN
from velum_pipeline.errors import CorruptMedia
from velum_pipeline.video.description import Hdr, Light, Mastering, Video, turned

ONE = 65536
"""1.0 in a display matrix."""


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, unique=True),
    st.fractions(min_value=0, max_denominator=10**6),
    st.booleans(),
)
def test_bytes_and_back(pts: list[int], aspect: Fraction, counted: bool) -> None:
    light = Hdr(Mastering(white=(Fraction(1, 3), aspect)), None) if counted else Hdr(None, Light(1000, 0))
    video = replace(PLAIN, pts=np.array(sorted(pts)), aspect=aspect, counted=counted, hdr=light, left_out=("ä",))
    again = Video.loads(video.dumps())
    assert again == video
    assert (again.pts == video.pts).all()
    assert (again.aspect, again.hdr, again.left_out) == (aspect, light, ("ä",))


def test_a_long_video_stays_small() -> None:
    long = replace(PLAIN, pts=np.arange(10**6) * 512, keys=np.arange(0, 10**6, 250))
    assert len(long.dumps()) < 40_000


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"{}", PLAIN.dumps()[:-40], b"\x93NUMPY\x01\x00"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptMedia, match="describe no video"):
        Video.loads(data)


def test_differs_where_a_field_does() -> None:
    assert replace(PLAIN, end=2) != PLAIN
    assert replace(PLAIN) == PLAIN
    assert PLAIN != "a video"


@pytest.mark.parametrize(
    ("matrix", "quarters", "mirrored"),
    [
        ((ONE, 0, 0, 0, ONE, 0, 0, 0, 2**30), 0, False),
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, 2**30), 3, False),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 2**30), 2, False),
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, 2**30), 1, False),
        ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 2**30), 0, True),
        ((ONE, 0, 0, 0, -ONE, 0, 0, 0, 2**30), 2, True),
        ((64000, 9000, 0, -9000, 64000, 0, 0, 0, 2**30), 0, False),  # eight degrees
        ((0, 0, 0, 0, 0, 0, 0, 0, 0), 0, False),
    ],
)
def test_matrices(matrix: tuple[int, ...], quarters: int, mirrored: bool) -> None:
    turn = turned(matrix)
    assert (turn.quarters, turn.mirrored, turn.matrix) == (quarters, mirrored, matrix)


def test_length_and_size_as_displayed() -> None:
    video = replace(PLAIN, turn=turned((0, ONE, 0, -ONE, 0, 0, 0, 0, 2**30)), pts=np.arange(50), end=50)
    assert (video.displayed_width, video.displayed_height) == (120, 160)
    assert (video.frames, video.seconds, video.bits) == (50, 2.0, 8)
