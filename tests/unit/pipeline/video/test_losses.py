"""Frames that a demuxer passes over in silence are counted, where the container tells; and none that never were."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from support.videos import CLIPS
from support.videos.broken import remuxed
from velum_pipeline.video.description import Video
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded

Clips = Callable[[str], Path]
COUNTED = ("tracks.mkv", "h264-film.mkv", "h264-long-gop.mkv", "vp9.webm", "mjpeg.avi", "mpeg4.avi",
           "h264-bframes.avi")  # fmt: skip
STREAMS = ("mpeg2.ts", "h264.ts", "hevc.ts")
SEEDS = 8
MANY = 50


def described(data: bytes) -> Video:
    return probe(partial(io.BytesIO, data))


def hurt(data: bytes, seed: int) -> bytes:
    """Noise of 40 to 1500 bytes somewhere in the middle: up to a dozen packets of these clips."""
    chance, changed = random.Random(seed), bytearray(data)
    at = chance.randrange(4 * len(data) // 10, 6 * len(data) // 10)
    size = chance.choice((40, 400, 1500))
    changed[at : at + size] = chance.randbytes(size)
    return bytes(changed)


def without(path: Path, muxer: str, gone: range) -> bytes:
    """A clip as a camera writes it that left frames away: whole, with a gap in its times."""
    buffer = io.BytesIO()
    with av.open(str(path)) as given, av.open(buffer, "w", format=muxer) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(video=0)):
            if packet.size and number not in gone:
                packet.stream = stream
                out.mux(packet)
    return buffer.getvalue()


@pytest.mark.parametrize("name", CLIPS)
def test_of_a_whole_file_nothing_is_missing(clip: Clips, name: str) -> None:
    assert described(clip(name).read_bytes()).lost == 0


@pytest.mark.parametrize("name", COUNTED)
def test_what_is_shown_what_is_skipped_and_what_is_lost_are_all_frames(clip: Clips, name: str) -> None:
    whole, missing = clip(name).read_bytes(), 0
    frames = described(whole).frames
    for seed in range(SEEDS):
        video = described(hurt(whole, seed))
        assert video.frames + video.lost == frames, seed
        missing += video.lost
    assert missing > 0


@pytest.mark.parametrize("name", STREAMS)
def test_of_a_transport_stream_they_mostly_are_and_never_more(clip: Clips, name: str) -> None:
    whole = clip(name).read_bytes()
    frames = described(whole).frames
    counts = [(video.frames, video.lost) for video in (described(hurt(whole, seed)) for seed in range(MANY))]
    assert max(shown + missing for shown, missing in counts) <= frames
    assert sum(shown + missing == frames for shown, missing in counts) >= 0.9 * MANY  # noise may hide a frame's head
    assert sum(shown < frames for shown, _ in counts) > 0.1 * MANY


@pytest.mark.parametrize("muxer", ["matroska", "mpegts"])
def test_frames_that_a_camera_left_away_are_not_lost(clip: Clips, muxer: str) -> None:
    video = described(without(clip("h264-intra.mp4"), muxer, range(9, 15)))
    assert (video.frames, video.lost) == (24, 0)
    assert len({int(step) for step in video.pts[1:] - video.pts[:-1]}) == 2


def test_what_a_varying_rate_lost_is_not_guessed(clip: Clips) -> None:
    data = remuxed(clip("h264-vfr.mp4"), "matroska")
    before = described(data)
    for seed in range(SEEDS):
        video = described(hurt(data, seed))
        assert video.frames + video.lost <= before.frames


def test_an_end_that_makes_no_sense_is_none(clip: Clips) -> None:
    data = clip("tracks.mkv").read_bytes()
    assert b"00:00:01.200000000" in data
    for text in (b"00:00:xx.200000000", b"\0" * 18, b"00:00:01/200000000", b"00:00:00.100000000"):
        assert described(data.replace(b"00:00:01.200000000", text)).lost == 0


def test_it_is_kept_with_the_description(clip: Clips) -> None:
    video = replace(described(clip("h264.mp4").read_bytes()), lost=7, rate=Fraction(25))
    assert Video.loads(video.dumps()).lost == 7


def test_what_is_read_does_not_depend_on_it(clip: Clips) -> None:
    data = hurt(clip("tracks.mkv").read_bytes(), 1)
    video = described(data)
    assert video.lost > 0
    ordinals = [each.ordinal for each in decoded(partial(io.BytesIO, data), video, 0, video.frames, threads=1)]
    assert ordinals == sorted(set(ordinals))
    assert len(ordinals) <= video.frames
