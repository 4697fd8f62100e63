"""Any range of any clip is the same frames, bit for bit, as the same rows of the whole."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from support.covering import KEY, solid
from support.videos import CLIPS
from support.videos.plain import PLAIN
from support.videos.scene import number
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import UnsupportedMedia
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.video.covers import Covers
from velum_pipeline.video.description import Video
from velum_pipeline.video.drawing import draw_debug
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import Decoded, decoded
from velum_pipeline.video.source import Opener

Clips = Callable[[str], Path]
RANGES = 8


def opener(path: Path) -> Opener:
    return lambda: path.open("rb")


def planes(frame: Any) -> list[np.ndarray[Any, Any]]:
    kind = np.uint16 if frame.format.name.endswith("10le") else np.uint8
    return [np.frombuffer(each, kind).reshape(each.height, -1)[:, : each.width] for each in frame.planes]


def prints(frames: Any) -> list[tuple[int, int, bytes]]:
    return [
        (each.ordinal, each.frame.pts, blake2b(b"".join(plane.tobytes() for plane in planes(each.frame))).digest())
        for each in frames
    ]


@cache
def whole(path: Path) -> tuple[Any, list[tuple[int, int, bytes]]]:
    video = probe(opener(path))
    return video, prints(decoded(opener(path), video, 0, video.frames))


@pytest.mark.parametrize("name", CLIPS)
def test_shows_every_frame_in_order_with_its_time(clip: Clips, name: str) -> None:
    made, path = CLIPS[name], clip(name)
    video = probe(opener(path))
    frames = list(decoded(opener(path), video, 0, video.frames, threads=2))
    assert [each.ordinal for each in frames] == list(range(made.shown))
    assert [number(planes(each.frame)[0]) for each in frames] == [made.hidden + row for row in range(made.shown)]
    assert [each.frame.pts for each in frames] == video.pts.tolist()
    assert {each.frame.format.name for each in frames} == {video.pixel_format}
    assert {(each.frame.width, each.frame.height) for each in frames} == {(video.width, video.height)}


@pytest.mark.parametrize("name", CLIPS)
def test_any_range_is_a_part_of_the_whole(clip: Clips, name: str) -> None:
    path = clip(name)
    video, everything = whole(path)
    chance = random.Random(name)
    for _ in range(RANGES):
        first = chance.randrange(video.frames)
        stop = chance.randrange(first, video.frames) + 1
        got = prints(decoded(opener(path), video, first, stop, threads=chance.choice((1, 2, 3))))
        assert got == everything[first:stop], f"frames {first} to {stop}"


def blackened(each: Decoded, video: Video) -> None:
    everywhere = solid(0, 0, video.width, video.height)
    Covers(video, Method.BLACKEN, KEY).apply(each, [everywhere], [0])
    assert (planes(each.frame)[0] == 16).all()


def drawn_upon(each: Decoded, video: Video) -> None:
    before = planes(each.frame)[0].copy()
    box = np.array([[8, 8, video.width - 8, video.height - 8]], np.float32)
    found = Detections(box, np.ones(1, np.float32), as_classes([ObjectClass.FACE]))
    draw_debug(each, video, found, [None], scores=True)
    assert (planes(each.frame)[0] != before).any()


@pytest.mark.parametrize("write", [blackened, drawn_upon])
def test_what_is_written_into_a_frame_shows_in_no_later_one(
    clip: Clips, write: Callable[[Decoded, Video], None]
) -> None:
    """A decoder refers to its frames: were they not copied before, the frames that follow would change."""
    path = clip("h264-bframes.mp4")
    video, everything = whole(path)
    again = []
    for each in decoded(opener(path), video, 0, video.frames, threads=1):
        again += prints([each])
        write(each, video)
    assert again == everything


def test_an_empty_range_opens_nothing() -> None:
    def never() -> BinaryIO:
        raise AssertionError("opened")

    assert list(decoded(never, replace(PLAIN, pts=np.arange(30)), 7, 7)) == []


def test_a_range_outside_is_refused() -> None:
    with pytest.raises(ValueError, match="frames 7 to 31 of 30"):
        list(decoded(io.BytesIO, replace(PLAIN, pts=np.arange(30)), 7, 31))


def test_closing_early_closes_the_file(clip: Clips) -> None:
    path = clip("h264.mp4")
    files: list[BinaryIO] = []

    def kept() -> BinaryIO:
        files.append(path.open("rb"))
        return files[-1]

    video = probe(kept)
    frames = decoded(kept, video, 0, video.frames)
    assert isinstance(next(frames), Decoded)
    assert not files[-1].closed
    frames.close()  # type: ignore[attr-defined]
    assert all(file.closed for file in files)


def test_another_size_in_the_middle_is_named(clip: Clips, tmp_path: Path) -> None:
    small, large = clip("h264.ts"), clip("h264-larger.ts")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    video = probe(opener(joined))
    with pytest.raises(UnsupportedMedia, match=r"from frame 30 on the video has 192 x 144 instead of 160 x 120 pixels"):
        list(decoded(opener(joined), video, 0, video.frames))
