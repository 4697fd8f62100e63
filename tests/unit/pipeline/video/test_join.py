"""Segments put together: no seam, exact times, and no file where something is missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from support import videos
from support.segmentfiles import boxes, described, frames, joined, luma, pictures, psnr, segmented, written
from support.videos import Clip
from support.videos.clip import Sound
from support.videos.scene import number
from velum_pipeline.errors import StageFailed
from velum_pipeline.video.description import Colour, Video
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.join import interleaved, join
from velum_pipeline.video.probe import probe

SEAMLESS = 38.0
"""dB between what was encoded in one piece and in three: two encodings of the same pictures."""
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip | str], Path]:
    """made("tracks.mp4"): the clip's file."""
    folder = tmp_path_factory.mktemp("clips")
    return lambda clip: videos.made(clip, folder)


@pytest.mark.parametrize("bounds", [(0, 10, 20), (0, 1, 2), (0, 29), (0, 13, 14, 15)])
@pytest.mark.parametrize("name", ["h264-bframes.mp4", "h264-vfr.mp4", "vp9.webm", "h264.ts"])
def test_segments_join_without_a_seam(
    tmp_path: Path, made: Callable[[str], Path], name: str, bounds: tuple[int, ...]
) -> None:
    whole, _ = joined(made(name), tmp_path, name="whole.mp4")
    pieces, told = joined(made(name), tmp_path, bounds)
    one, other = pictures(whole), pictures(pieces)
    assert [time for time, _ in one] == [time for time, _ in other]
    assert [number(picture) for _, picture in other] == list(range(told.frames))
    assert min(psnr(a, b) for (_, a), (_, b) in zip(one, other, strict=True)) > SEAMLESS


def test_decoding_times_rise_and_are_never_late(tmp_path: Path, made: Callable[[str], Path]) -> None:
    path, _ = joined(made("h264-vfr.mp4"), tmp_path, (0, 7, 19))
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    decoding = [packet.dts for packet in packets]
    assert all(before < after for before, after in pairwise(decoding))
    assert all(packet.dts <= packet.pts for packet in packets)
    assert any(packet.dts < packet.pts for packet in packets)  # else there was no reordering to get wrong


def test_the_track_keeps_its_unit_of_time(tmp_path: Path, made: Callable[[str], Path]) -> None:
    for name in ("h264.ts", "h264-vfr.mp4", "mpeg4.avi"):
        path, _ = joined(made(name), tmp_path)
        with av.open(str(made(name))) as before, av.open(str(path)) as after:
            assert after.streams.video[0].time_base == before.streams.video[0].time_base


def test_players_can_begin_at_once(tmp_path: Path, made: Callable[[str], Path]) -> None:
    path, _ = joined(made("tracks.mp4"), tmp_path)
    names = boxes(path)
    assert names.index("moov") < names.index("mdat")


def test_nothing_else_is_left_in_the_folder(tmp_path: Path, made: Callable[[str], Path]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    video, parts = segmented(made("h264.mp4"), tmp_path, (0, 10))
    join(partial(open, made("h264.mp4"), "rb"), video, parts, out / "out.mp4")
    assert [path.name for path in out.iterdir()] == ["out.mp4"]


def test_a_range_that_was_told_is_told_again(tmp_path: Path, made: Callable[[str], Path]) -> None:
    source = made("h264.mp4")
    video, _ = segmented(source, tmp_path, (0,))
    limited = replace(video, colour=Colour(1, 2, 2, 2))
    part = written(tmp_path / "limited.nut", limited, Encoding(), frames(limited))
    join(partial(open, source, "rb"), limited, [part], tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.streams.video[0].codec_context.color_range == 1


def test_frames_that_were_skipped_are_allowed_for_when_told(tmp_path: Path, made: Callable[[str], Path]) -> None:
    source = made("h264.mp4")
    opener = partial(open, source, "rb")
    video = probe(opener)
    holes = [frame for frame in frames(video) if frame.pts not in video.pts[[0, 11, 12, 29]]]
    parts = [written(tmp_path / "a.nut", video, Encoding(), iter(holes[:9])), tmp_path / "b.nut"]
    written(parts[1], video, Encoding(), iter(holes[9:]))
    with pytest.raises(StageFailed, match="26 frames, and 0 were skipped, of 30"):
        join(opener, video, parts, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    assert join(opener, video, parts, tmp_path / "out.mp4", skipped=4).frames == 26
    assert [number(picture) for _, picture in pictures(tmp_path / "out.mp4")] == [*range(1, 11), *range(13, 29)]


def test_a_segment_without_frames_is_passed_over(tmp_path: Path, made: Callable[[str], Path]) -> None:
    source = made("h264.mp4")
    opener = partial(open, source, "rb")
    video = probe(opener)
    parts = [
        written(tmp_path / "a.nut", video, Encoding(), frames(video, 0, 10)),
        written(tmp_path / "b.nut", video, Encoding(), iter(())),
        written(tmp_path / "c.nut", video, Encoding(), frames(video, 20)),
    ]
    assert join(opener, video, parts, tmp_path / "out.mp4", skipped=10).frames == 20
    with pytest.raises(StageFailed, match="0 frames, and 30 were skipped"):
        join(opener, video, parts[1:2], tmp_path / "out.mp4", skipped=30)


def bad_parts(kind: str, video: Video, folder: Path) -> list[Path]:
    one = written(folder / "one.nut", video, Encoding(), frames(video, 0, 10))
    two = written(folder / "two.nut", video, Encoding(), frames(video, 10))
    if kind == "one too few":
        return [one]
    if kind == "wrong order":
        return [two, one]
    if kind == "one twice":
        return [one, one, two]
    if kind == "cut off":
        two.write_bytes(two.read_bytes()[: two.stat().st_size // 2])
    if kind == "of another coding":
        written(two, video, Encoding("x265"), frames(video, 10))
    if kind == "of another preset":
        written(two, video, Encoding(preset="slow"), frames(video, 10))
    if kind == "of another video":
        written(two, video, Encoding(), frames(replace(video, pts=video.pts + 1), 10))
    if kind == "no video":
        two.write_bytes(b"nothing of the kind")
    if kind == "not there":
        two.unlink()
    return [one, two]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("one too few", "10 frames, and 0 were skipped, of 30"),
        ("wrong order", "one.nut has frames that were there before"),
        ("one twice", "one.nut has frames that were there before"),
        ("cut off", "frames, and 0 were skipped, of 30"),
        ("of another coding", "two.nut is not coded as"),
        ("of another preset", "two.nut is not coded as"),
        ("of another video", "where the video has none"),
        ("no video", "10 frames, and 0 were skipped, of 30"),
        ("not there", "two.nut cannot be read"),
    ],
)
def test_parts_that_do_not_fit_make_no_video(
    tmp_path: Path, made: Callable[[str], Path], kind: str, words: str
) -> None:
    source = made("h264.mp4")
    video = probe(partial(open, source, "rb"))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(StageFailed, match=words):
        join(partial(open, source, "rb"), video, bad_parts(kind, video, tmp_path), out / "out.mp4")
    assert not list(out.iterdir())


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full disk to write to")
def test_a_full_disk_makes_no_video(tmp_path: Path, made: Callable[[str], Path]) -> None:
    video, parts = segmented(made("h264.mp4"), tmp_path, (0,))
    (tmp_path / ".out.mp4.partial").symlink_to(FULL)
    with pytest.raises(StageFailed):
        join(partial(open, made("h264.mp4"), "rb"), video, parts, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    assert not (tmp_path / ".out.mp4.partial").is_symlink()


def test_only_one_packet_waits_between_the_streams() -> None:
    """However long a video is, it is read as it is written."""
    read: list[str] = []

    def stream(name: str, step: int) -> Iterator[av.Packet[Any]]:
        for place in range(50):
            read.append(name)
            packet = av.Packet(name.encode())
            packet.dts, packet.time_base = place * step, Fraction(1, 100)
            yield packet

    order = []
    for packet in interleaved(stream("v", 4), stream("a", 2)):
        order.append((packet.dts, bytes(packet)))
        assert len(read) - len(order) <= 1
    assert len(order) == 100
    assert [time for time, _ in order] == sorted(time for time, _ in order)


def test_a_broadcasts_clock_is_set_to_zero_for_all_streams(tmp_path: Path, made: Callable[[Clip | str], Path]) -> None:
    late = Clip("late.ts", "a late clock", sounds=(Sound("aac"),), mux={"output_ts_offset": "50000"})
    path, told = joined(made(late), tmp_path)
    before, after = starts(made(late)), starts(path)
    assert float(told.moved) == pytest.approx(-min(before), abs=0.001)
    assert min(before) > 49_000
    assert after == pytest.approx([each - min(before) for each in before], abs=0.001)
    near = Clip("near.ts", "a clock of its own", sounds=(Sound("aac"),), mux={"output_ts_offset": "20"})
    assert starts(joined(made(near), tmp_path)[0]) == pytest.approx(starts(made(near)), abs=0.001)


def starts(path: Path) -> list[float]:
    with av.open(str(path)) as file:
        return [float((stream.start_time or 0) * (stream.time_base or 0)) for stream in file.streams]


def test_a_first_frame_before_zero_moves_all_streams(tmp_path: Path, made: Callable[[str], Path]) -> None:
    source = made("h264.mp4")
    video = probe(partial(open, source, "rb"))
    early = replace(video, pts=video.pts - 1536)
    part = written(tmp_path / "early.nut", early, Encoding(), frames(early))
    join(partial(open, source, "rb"), early, [part], tmp_path / "out.mp4")
    by = 1536 * video.time_base
    assert [time for time, _ in pictures(tmp_path / "out.mp4")] == [time for time, _ in pictures(source)]
    assert len(pictures(source)) == 30
    with av.open(str(source)) as one, av.open(str(tmp_path / "out.mp4")) as other:
        before, after = (next(file.demux(audio=0)) for file in (one, other))
        assert after.pts * after.time_base == pytest.approx(float(before.pts * before.time_base + by), abs=0.001)


def test_a_described_video_is_what_it_says(tmp_path: Path) -> None:
    """The tools of these tests: a segment's pictures carry their numbers."""
    video = described()
    with av.open(str(written(tmp_path / "part.nut", video, Encoding(), frames(video)))) as file:
        assert [number(luma(frame)) for frame in file.decode(video=0)] == list(range(video.frames))


@pytest.mark.skipif("VELUM_SHARED" not in os.environ, reason="VELUM_SHARED names no folder with videos")
def test_the_last_frame_ends_where_an_edit_cut_it(tmp_path: Path) -> None:
    source = Path(os.environ["VELUM_SHARED"]) / "data" / "video" / "london_street_720p.mp4"
    path, _ = joined(source, tmp_path, (0, 60))
    with av.open(str(source)) as before, av.open(str(path)) as after:
        assert after.streams.video[0].duration == before.streams.video[0].duration
