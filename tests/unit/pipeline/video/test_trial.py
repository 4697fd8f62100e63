"""Sizes: sources of newer codecs at low rates stay within 1.5 times, and ordinary ones are left as they are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from support.segmentfiles import described, luma, psnr, written
from support.videos.rich import coded
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.encoding import options
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded
from velum_pipeline.video.source import Opener
from velum_pipeline.video.trial import WINDOW, WINDOWS, fitted, windows

Rich = Callable[[str, int], Path]
SAME_SIZE = 1.5
SEEN = 1.0
"""dB by which the worst frame is better than under the cap, which gives it more bytes in all."""
THREADS = 0.5
"""Of a rate factor: what the number of the encoder's threads may change in so small pictures."""

WITHOUT_FILES = """
import resource
import sys
from functools import partial

from velum_pipeline.video.encoding import Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.trial import fitted

resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # from now on writing to any file fails
opener = partial(open, sys.argv[1], "rb")
print(fitted(opener, probe(opener), Encoding()).factor)
"""


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Rich:
    """A file by an encoder at a rate factor."""
    folder = tmp_path_factory.mktemp("rich")

    def make(encoder: str, factor: int) -> Path:
        path = folder / f"{encoder}-{factor}.mkv"
        return path if path.exists() else coded(path, encoder, factor)

    return make


def source(path: Path) -> tuple[Opener, Video]:
    opener = partial(open, path, "rb")
    return opener, probe(opener)


def size(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(packet.size for packet in file.demux(video=0))


def pictures(opener: Opener, video: Video) -> Iterator[av.VideoFrame]:
    return (each.frame for each in decoded(opener, video, 0, video.frames, threads=1))


@pytest.mark.parametrize(
    ("encoder", "factor"),
    [
        ("libsvtav1", 50),
        ("libsvtav1", 60),
        ("libvpx-vp9", 50),
        ("libvpx-vp9", 60),
        ("libx265", 34),
        ("libx265", 40),
        ("libx264", 30),
        ("libx264", 36),
    ],
)
def test_any_source_stays_within_its_size(tmp_path: Path, rich: Rich, encoder: str, factor: int) -> None:
    opener, video = source(rich(encoder, factor))
    encoding = fitted(opener, video, Encoding(), threads=1)
    assert size(written(tmp_path / "part.nut", video, encoding, pictures(opener, video))) <= SAME_SIZE * video.size


def test_x265_stays_within_the_size_too(tmp_path: Path, rich: Rich) -> None:
    opener, video = source(rich("libsvtav1", 60))
    encoding = fitted(opener, video, Encoding("x265"), threads=1)
    assert encoding.factor is not None
    assert size(written(tmp_path / "part.nut", video, encoding, pictures(opener, video))) <= SAME_SIZE * video.size


def test_no_frame_is_sacrificed_to_the_size(tmp_path: Path, rich: Rich) -> None:
    opener, video = source(rich("libsvtav1", 60))
    worst = []
    for number, encoding in enumerate((fitted(opener, video, Encoding(), threads=1), Encoding())):
        path = written(tmp_path / f"{number}.nut", video, encoding, pictures(opener, video))
        with av.open(str(path)) as file:
            pairs = zip(file.decode(video=0), pictures(opener, video), strict=True)
            worst.append(min(psnr(luma(one), luma(other)) for one, other in pairs))
    assert worst[0] > worst[1] + SEEN


@pytest.mark.parametrize("encoder", ["libx264", "libx265", "libvpx-vp9"])
def test_an_ordinary_source_is_left_as_it_is(rich: Rich, encoder: str) -> None:
    opener, video = source(rich(encoder, 20))
    assert fitted(opener, video, Encoding(), threads=1) == Encoding()


def test_nothing_is_read_where_no_trial_is_needed(rich: Rich) -> None:
    _, video = source(rich("libx264", 36))
    heavy = replace(video, size=10 * video.size)
    for given, encoding in (
        (heavy, Encoding()),
        (video, Encoding(quality=95)),
        (video, Encoding("svtav1", "8")),
        (video, Encoding("h264_nvenc", "p4")),
        (video, Encoding(factor=30.0)),
        (replace(video, counted=True), Encoding()),
    ):
        assert fitted(unreadable, given, encoding) == encoding


def unreadable() -> None:
    pytest.fail("the source was opened")


def test_what_was_found_is_all_that_the_encoder_is_told_of_the_size(rich: Rich) -> None:
    _, video = source(rich("libx264", 36))
    told = options(Encoding(factor=31.5), video, 1)
    assert told["crf"] == "31.5"
    assert "maxrate" not in told
    assert options(Encoding(), video, 1)["crf"] == "18"


def test_nearly_the_same_is_found_each_time(rich: Rich) -> None:
    opener, video = source(rich("libvpx-vp9", 60))
    found = [fitted(opener, video, Encoding(), threads=threads).factor or 0.0 for threads in (1, 2, 1)]
    assert max(found) - min(found) <= THREADS


def test_frames_that_are_not_redacted_come_on_no_disk(rich: Rich) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", WITHOUT_FILES, str(rich("libsvtav1", 60))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) > 0


def test_frames_that_do_not_decode_are_not_measured(tmp_path: Path, rich: Rich) -> None:
    path = rich("libx264", 36)
    _, video = source(path)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        second = [packet.pos for packet in file.demux(video=0) if packet.pos][1]
    data[second + 20 : second + 60] = bytes(40)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    assert fitted(partial(open, broken, "rb"), video, Encoding(), threads=1) == Encoding()


@pytest.mark.parametrize(
    ("frames", "every"),
    [(1, 1), (20, 20), (151, 151), (151, 30), (900, 12), (5000, 1), (90_000, 250), (90_000, 90_000)],
)
def test_windows_begin_at_key_frames_and_lie_apart(frames: int, every: int) -> None:
    video = described(range(0, 512 * frames, 512), keys=np.arange(0, frames, every))
    found = windows(video)
    assert 1 <= len(found) <= WINDOWS
    assert all(first in video.keys and first < stop <= min(first + WINDOW, frames) for first, stop in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))


def test_long_videos_are_tried_all_over() -> None:
    video = described(range(0, 512 * 9000, 512), keys=np.arange(0, 9000, 100))
    firsts = [first for first, _ in windows(video)]
    assert len(firsts) == WINDOWS
    assert firsts[0] < 1000 < 8000 < firsts[-1]


def test_a_window_does_not_cut_off_a_group_of_frames() -> None:
    video = described(range(0, 512 * 100, 512), keys=np.array([0, 30, 60]))
    assert windows(video) == [(0, 30)]
