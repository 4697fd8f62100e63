"""What is found out of every clip is what it was made with."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.videos import CLIPS
from velum_pipeline.media.kinds import sniff
from velum_pipeline.video.description import FORMATS, Colour, Hdr, Light, Mastering, Turn, Video
from velum_pipeline.video.probe import probe

Clips = Callable[[str], Path]
F = Fraction
FACTS: dict[str, dict[str, Any]] = {
    "h264.mp4": {"codec": "h264", "source_format": "yuv420p", "rate": 25, "field_order": "progressive", "hdr": None},
    "h264-10bit.mp4": {"pixel_format": "yuv420p10le", "bits": 10, "colour": Colour(1, 1, 1, 1)},
    "h264-422-10bit.mov": {"pixel_format": "yuv422p10le"},
    "h264-444.mp4": {"pixel_format": "yuv444p", "bits": 8},
    "hevc-gray.mp4": {"pixel_format": "gray", "codec": "hevc"},
    "hevc-gray10.mkv": {"pixel_format": "gray10le"},
    "h264-odd.mkv": {"width": 161, "height": 121},
    "vp9-odd.webm": {"source_format": "yuv420p", "pixel_format": "yuv444p", "codec": "vp9"},
    "mjpeg-odd.mov": {"source_format": "yuvj420p", "pixel_format": "yuv444p", "colour": Colour(2, 2, 2, 5)},
    "h264-tff.mp4": {"field_order": "tt"},
    "h264-bff.mkv": {"field_order": "bb"},
    "mpeg2.ts": {"field_order": "bb", "codec": "mpeg2video"},
    "hevc-hlg.mov": {"colour": Colour(1, 9, 18, 9), "pixel_format": "yuv422p10le"},
    "av1-10bit.mkv": {"colour": Colour(1, 9, 16, 9), "codec": "av1"},
    "h264-full.mp4": {"source_format": "yuvj420p", "pixel_format": "yuv420p", "colour": Colour(2, 1, 1, 1)},
    "h264-5994.mp4": {"rate": F(60000, 1001), "colour": Colour(1, 6, 6, 6), "time_base": F(1, 60000)},
    "h264-film.mkv": {"rate": F(24000, 1001)},
    "h264-rgb.mp4": {"source_format": "gbrp", "pixel_format": "yuv444p", "colour": Colour(1, 2, 2, 6)},
    "h264-aspect.mp4": {"aspect": F(4, 3)},
    "prores-4444.mov": {"source_format": "yuva444p12le", "pixel_format": "yuv444p10le"},
    "ffv1-12bit.mkv": {"source_format": "yuv420p12le", "pixel_format": "yuv420p10le"},
    "cover.mp4": {"left_out": ("stream 2: cover picture (mjpeg)",), "stream": 0},
    "two-videos.mkv": {"left_out": ("stream 0: further video (h264)",), "stream": 1},
    "h264-bframes.avi": {"counted": True},
    "mpeg4-bframes.avi": {"counted": True},
    "mpeg4.avi": {"counted": False},
}


def probed(path: Path) -> Video:
    return probe(lambda: path.open("rb"))


@pytest.mark.parametrize("name", CLIPS)
def test_tells_frames_and_times(clip: Clips, name: str) -> None:
    made, video = CLIPS[name], probed(clip(name))
    assert (video.width, video.height) == made.size
    assert video.frames == made.shown
    assert video.pixel_format in FORMATS
    assert video.media_type == sniff(clip(name).read_bytes())
    assert (np.diff(video.pts) > 0).all()
    assert video.end > video.pts[-1]
    assert video.keys[0] == 0
    assert (np.diff(video.keys) > 0).all()
    assert video.size < clip(name).stat().st_size
    wanted = np.array([float(made.pts(number) * made.time_base) for number in range(made.hidden, made.frames)])
    told = video.pts * float(video.time_base)
    if name != "mpeg4.avi":  # whose writer left a hole behind the first frame
        assert np.abs((told - told[0]) - (wanted - wanted[0])).max() <= 0.0006 + float(video.time_base)


@pytest.mark.parametrize("name", FACTS)
def test_tells_what_the_clip_was_made_with(clip: Clips, name: str) -> None:
    video = probed(clip(name))
    assert {field: getattr(video, field) for field in FACTS[name]} == FACTS[name]


@pytest.mark.parametrize("name", [name for name in CLIPS if not name.endswith(".avi")])
def test_times_are_exactly_those_of_a_decoder(clip: Clips, name: str) -> None:
    video = probed(clip(name))
    with av.open(str(clip(name))) as container:
        shown = [frame.pts for frame in container.decode(container.streams[video.stream])]  # type: ignore[arg-type]
    assert video.pts.tolist() == shown


def test_key_frames_are_where_the_encoder_put_them(clip: Clips) -> None:
    assert probed(clip("h264-bframes.mp4")).keys.tolist() == [0, 10, 20]
    assert probed(clip("h264-open-gop.mp4")).keys.tolist() == [0, 10, 20, 30]
    assert probed(clip("h264-intra.mp4")).keys.tolist() == list(range(30))
    assert probed(clip("h264-long-gop.mkv")).keys.tolist() == [0]
    assert probed(clip("h264-trimmed.mp4")).keys.tolist() == [0, 15]
    assert probed(clip("h264-bframes.avi")).keys.tolist() == [0, 10, 20]


def test_a_clock_that_starts_again_goes_on(clip: Clips) -> None:
    video = probed(clip("h264-wrapped.ts"))
    assert np.diff(video.pts).tolist() == [3600] * 29


def test_a_late_start_and_the_last_frames_length_are_kept(clip: Clips) -> None:
    video = probed(clip("h264-later.mp4"))
    assert video.pts[0] * video.time_base == F(3, 2)
    assert video.end * video.time_base == F(27, 10)
    assert video.seconds == pytest.approx(1.2)


def test_hdr_is_read_from_the_frames(clip: Clips) -> None:
    assert probed(clip("hevc-hdr10.mp4")).hdr == Hdr(
        Mastering(
            red=(F(34, 50), F(16, 50)),
            green=(F(265, 1000), F(69, 100)),
            blue=(F(15, 100), F(6, 100)),
            white=(F(3127, 10000), F(3290, 10000)),
            darkest=F(1, 10000),
            brightest=F(1000),
        ),
        Light(1000, 400),
    )


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        ("h264.mp4", (0, False)),
        ("h264-90.mp4", (1, False)),
        ("h264-180.mov", (2, False)),
        ("h264-270.mp4", (3, False)),
        ("h264-mirrored.mp4", (0, True)),
        ("h264-90-mirrored.mp4", (3, True)),
    ],
)
def test_the_turn_moves_pixels_where_the_display_matrix_says(clip: Clips, name: str, turn: tuple[int, bool]) -> None:
    video = probed(clip(name))
    assert (video.turn.quarters, video.turn.mirrored) == turn
    stored = np.arange(12).reshape(3, 4)
    shown = np.rot90(stored[:, ::-1] if video.turn.mirrored else stored, video.turn.quarters)
    matrix = video.turn.matrix
    if matrix is None:
        assert video.turn == Turn()
        return
    a, b, c, d = (matrix[at] // 65536 for at in (0, 1, 3, 4))
    rows, columns = np.mgrid[0:3, 0:4]
    x, y = a * columns + c * rows, b * columns + d * rows
    assert (shown[y - y.min(), x - x.min()] == stored).all()
    assert (video.displayed_width, video.displayed_height) == (
        video.width if turn[0] % 2 == 0 else video.height,
        video.height if turn[0] % 2 == 0 else video.width,
    )


def test_a_recording_that_starts_between_key_frames_begins_at_the_first(clip: Clips) -> None:
    data = clip("h264.ts").read_bytes()
    whole = probed(clip("h264.ts"))
    start = _second_packet(clip("h264.ts"))
    headers = data[: 3 * 188]  # service description and tables of programs
    video = probe(lambda: io.BytesIO(headers + data[start:]))
    assert video.frames == whole.frames - 10
    assert video.pts.tolist() == whole.pts[10:].tolist()


def test_is_the_same_in_another_process(clip: Clips) -> None:
    for name in ("hevc-hdr10.mp4", "two-videos.mkv", "h264-90-mirrored.mp4", "h264-film.mkv"):
        video = probed(clip(name))
        again = Video.loads(video.dumps())
        assert again == video
        assert repr(again) == repr(video)


def _second_packet(path: Path) -> int:
    with av.open(str(path)) as container:
        positions = [packet.pos for packet in container.demux(video=0) if packet.size]
    assert positions[3] is not None
    return int(positions[3])
