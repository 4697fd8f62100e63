"""Segments' files: exact times, the samples' form and colour, equal parameter sets, and no file after a failure."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from av.video.frame import PictureType

from support.segmentfiles import described, frames, luma, psnr, segmented, written
from support.videos.scene import number
from velum_pipeline.errors import OptionError, StageFailed, UnsupportedEncoder
from velum_pipeline.video.description import FORMATS, Colour, Hdr, Light, Mastering, Video
from velum_pipeline.video.encoder import Encoding, SegmentWriter, require, shift
from velum_pipeline.video.encoding import CODECS, LEAST_RATE, interlaced, largest_rate, options

SHARED = os.environ.get("VELUM_SHARED")
X264 = Encoding()
LEAST_PSNR = 40.0
MASTERING = Mastering(
    red=(Fraction(34000, 50000), Fraction(16000, 50000)),
    green=(Fraction(13250, 50000), Fraction(34500, 50000)),
    blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
    white=(Fraction(15635, 50000), Fraction(16450, 50000)),
    darkest=Fraction(1, 10000),
    brightest=Fraction(1000),
)


def read(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as part:
        return list(part.decode(video=0))


def times(path: Path, video: Video) -> list[Fraction]:
    return [frame.pts * frame.time_base / video.time_base - shift(video) for frame in read(path)]


@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 90000), range(126000, 126000 + 3003 * 20, 3003)),
        (Fraction(1, 1000), [0, 33, 67, 70, 200, 1000, 5000, 5001]),
        (Fraction(1001, 30000), range(10)),
        (Fraction(1, 1_000_000), range(17, 17 + 41_708 * 9, 41_708)),
        (Fraction(1, 12800), range(-1024, 512 * 8, 512)),
        (Fraction(1, 90000), range(2**33, 2**33 + 3600 * 8, 3600)),
        (Fraction(1, 25), [7]),
    ],
    ids=["ntsc", "vfr", "1001/30000", "microseconds", "negative", "after 26 hours", "single"],
)
def test_every_frame_keeps_its_time(tmp_path: Path, time_base: Fraction, pts: list[int]) -> None:
    video = described(pts, time_base=time_base)
    assert times(written(tmp_path / "part.nut", video, X264, frames(video)), video) == list(pts)


@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_every_format_is_written_in_its_own_depth(tmp_path: Path, codec: str, pixel_format: str) -> None:
    video = described(pixel_format=pixel_format)
    shown = read(written(tmp_path / "part.nut", video, Encoding(codec), frames(video)))
    # FFmpeg's decoder of H.264 gives out grey with planes of colour that are all in the middle
    assert shown[0].format.name in (pixel_format, pixel_format.replace("gray", "yuv420p"))
    assert [number(luma(frame)) for frame in shown] == list(range(video.frames))
    assert min(psnr(luma(a), luma(b)) for a, b in zip(shown, frames(video), strict=True)) > LEAST_PSNR


@pytest.mark.parametrize("size", [(97, 65), (2, 2), (16, 16), (1, 1)])
def test_any_size_is_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    video = described(pixel_format="yuv444p", size=size)
    shown = read(written(tmp_path / "part.nut", video, X264, frames(video)))
    assert {(frame.width, frame.height) for frame in shown} == {size}
    assert len(shown) == video.frames


def test_all_segments_have_the_same_parameter_sets_whatever_they_show_and_how_many_threads(tmp_path: Path) -> None:
    video = described(range(0, 512 * 40, 512), size=(160, 120))
    found = set()
    for part, (first, stop, threads) in enumerate([(0, 20, 1), (20, 21, 2), (21, 40, 4)]):
        path = written(tmp_path / f"{part}.nut", video, X264, frames(video, first, stop), threads)
        with av.open(str(path)) as file:
            found.add(file.streams.video[0].codec_context.extradata)
    assert len(found) == 1


@pytest.mark.parametrize(("codec", "preset"), [("x264", "veryfast"), ("x265", "veryfast"), ("svtav1", "8")])
def test_a_segment_begins_with_a_key_frame_and_decodes_alone(tmp_path: Path, codec: str, preset: str) -> None:
    video = described(range(0, 512 * 30, 512))
    path = written(tmp_path / "part.nut", video, Encoding(codec, preset), frames(video, 10))
    with av.open(str(path)) as file:
        keys = [packet.is_keyframe for packet in file.demux(video=0) if packet.size]
    assert keys[0]
    assert [number(luma(frame)) for frame in read(path)] == list(range(10, 30))


def test_key_frames_of_the_source_are_not_copied(tmp_path: Path) -> None:
    video = described(range(0, 512 * 30, 512))

    def intra() -> list[av.VideoFrame]:
        made = list(frames(video))
        for frame in made:
            frame.pict_type, frame.key_frame = PictureType.I, True
        return made

    with av.open(str(written(tmp_path / "part.nut", video, X264, iter(intra())))) as file:
        assert sum(packet.is_keyframe for packet in file.demux(video=0)) == 1


def test_colour_aspect_and_rate_are_told(tmp_path: Path) -> None:
    video = described(colour=Colour(2, 5, 6, 5), aspect=Fraction(4, 3), rate=Fraction(30000, 1001))
    with av.open(str(written(tmp_path / "part.nut", video, X264, frames(video)))) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        told = (context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        assert (told, stream.sample_aspect_ratio) == ((2, 5, 6, 5), Fraction(4, 3))


@pytest.mark.parametrize(("codec", "preset"), [("x264", "veryfast"), ("x265", "veryfast"), ("svtav1", "8")])
def test_hdr_is_told_with_every_codec(tmp_path: Path, codec: str, preset: str) -> None:
    video = described(pixel_format="yuv420p10le", colour=Colour(1, 9, 16, 9), hdr=Hdr(MASTERING, Light(1000, 400)))
    first = read(written(tmp_path / "part.nut", video, Encoding(codec, preset), frames(video)))[0]
    light = np.frombuffer(bytes(first.side_data[Type.CONTENT_LIGHT_LEVEL]), np.uint32)
    mastering = np.frombuffer(bytes(first.side_data[Type.MASTERING_DISPLAY_METADATA]), np.int32)
    red_x, brightest = mastering[0] / mastering[1], mastering[18] / mastering[19]
    assert light[:2].tolist() == [1000, 400]
    assert (round(red_x, 4), round(brightest)) == (0.68, 1000)


def test_samples_above_ten_bits_are_cut_and_end_no_process(tmp_path: Path) -> None:
    video = described(pixel_format="yuv420p10le")

    def wild() -> list[av.VideoFrame]:
        made = list(frames(video))
        for frame in made:
            np.frombuffer(memoryview(frame.planes[0]), np.uint16)[:] = 40_000
        return made

    shown = read(written(tmp_path / "part.nut", video, X264, iter(wild())))
    assert min(luma(frame).min() for frame in shown) > 1000


def test_a_frame_is_as_it_was_after_it_was_written(tmp_path: Path) -> None:
    video = described(range(-512, 512 * 4, 512))
    made = list(frames(video))
    written(tmp_path / "part.nut", video, X264, iter(made))
    assert [frame.pts for frame in made] == video.pts.tolist()


def test_a_segment_without_frames_is_a_file_without_packets(tmp_path: Path) -> None:
    assert written(tmp_path / "part.nut", described(), X264, iter(())).exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": (64, 64)}, "64 x 64"),
        ({"pixel_format": "yuv444p"}, "yuv444p"),
        ({"time_base": Fraction(1, 25)}, "time base"),
    ],
)
def test_a_frame_of_another_video_is_refused_and_nothing_is_left(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "part.nut"
    with pytest.raises(StageFailed, match=words):
        written(path, described(), X264, frames(described(**change)))  # type: ignore[arg-type]
    assert not path.exists()


def test_frames_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    video = described()
    made = list(frames(video))
    with pytest.raises(StageFailed, match="came after"):
        written(tmp_path / "part.nut", video, X264, iter([made[1], made[0]]))
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_block_removes_the_file(tmp_path: Path) -> None:
    video = described()
    with pytest.raises(KeyError), SegmentWriter(tmp_path / "part.nut", video, X264, 1) as writer:
        writer.write(next(frames(video)))
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full disk to write to")
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    video = described(range(0, 512 * 60, 512), size=(320, 240))
    path = tmp_path / "part.nut"
    path.symlink_to("/dev/full")
    with pytest.raises(StageFailed, match="No space left"):
        written(path, video, Encoding(quality=100), frames(video))
    assert not path.is_symlink()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="cannot be begun"):
        SegmentWriter(tmp_path / "none" / "part.nut", described(), X264, 1)


@pytest.mark.parametrize(
    ("codec", "preset", "words"),
    [
        ("x266", "veryfast", "x264, x265, svtav1, h264_nvenc, hevc_nvenc"),
        ("x264", "p4", "ultrafast"),
        ("svtav1", "veryfast", "0, 1, 2"),
        ("h264_nvenc", "veryfast", "p1, p2"),
    ],
)
def test_an_unknown_codec_or_preset_is_told_what_there_is(codec: str, preset: str, words: str) -> None:
    with pytest.raises(UnsupportedEncoder, match=words):
        Encoding(codec, preset)


@pytest.mark.parametrize("quality", [-1, 101, True, 5.5])
def test_a_quality_out_of_range_is_refused(quality: int) -> None:
    with pytest.raises(OptionError, match="quality"):
        Encoding(quality=quality)


@pytest.mark.parametrize("codec", CODECS)
def test_more_quality_is_never_a_larger_rate_factor(codec: str) -> None:
    factors = [CODECS[codec].rate_factor(quality) for quality in range(101)]
    assert factors == sorted(factors, reverse=True)
    assert len(set(factors)) > 50


def test_the_default_is_the_factor_that_was_measured() -> None:
    assert X264.facts.rate_factor(X264.quality) == 18


def test_quality_costs_bytes(tmp_path: Path) -> None:
    video = described(range(0, 512 * 20, 512), size=(160, 120))
    sizes = [
        written(tmp_path / f"{quality}.nut", video, Encoding(quality=quality), frames(video)).stat().st_size
        for quality in (20, 60, 90, 100)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] / 2


def test_the_rate_is_held_by_default_and_free_above() -> None:
    video = described(range(0, 12800 * 10, 512), size=(1280, 720))
    heavy = replace(video, size=10_000_000)
    assert largest_rate(X264, heavy) == pytest.approx(1.35 * 8 * 10_000_000 / heavy.seconds, rel=1e-6)
    assert largest_rate(Encoding(quality=91), heavy) is None
    assert largest_rate(X264, replace(video, size=1)) == LEAST_RATE
    assert "maxrate" in options(X264, heavy, 1)
    assert "maxrate" not in options(Encoding(quality=95), heavy, 1)


def test_fields_are_coded_where_their_lines_allow_it() -> None:
    def told(codec: str, height: int, pixel_format: str = "yuv420p", order: str = "tt") -> bool:
        video = described(pixel_format=pixel_format, size=(64, height), field_order=order)
        return interlaced(Encoding(codec), video)

    assert told("x264", 64)
    assert told("x264", 66, "yuv422p", "bb")
    assert not told("x264", 66)
    assert not told("x265", 64)
    assert not told("x264", 64, order="progressive")


def test_av1_refuses_what_it_cannot_write_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedEncoder, match="yuv444p"):
        SegmentWriter(tmp_path / "part.nut", described(pixel_format="yuv444p"), Encoding("svtav1", "8"), 1)
    assert not list(tmp_path.iterdir())


def test_what_runs_here_is_not_refused() -> None:
    for codec in ("x264", "x265", "svtav1"):
        require(codec)
    with pytest.raises(UnsupportedEncoder, match="x266"):
        require("x266")


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="this machine has a card")
def test_nvenc_without_a_card_says_what_is_missing() -> None:
    with pytest.raises(UnsupportedEncoder, match="NVIDIA card"):
        require("h264_nvenc")


@pytest.mark.skipif(SHARED is None, reason="VELUM_SHARED names no folder with videos")
@pytest.mark.parametrize(("name", "least"), [("london_street_720p", 40.0), ("egoblur_gen2_lp", 46.0)])
def test_real_videos_look_the_same_at_no_more_than_their_size(tmp_path: Path, name: str, least: float) -> None:
    source = Path(str(SHARED)) / "data" / "video" / f"{name}.mp4"
    video, parts = segmented(source, tmp_path, [0])
    with av.open(str(source)) as before, av.open(str(parts[0])) as after:
        pairs = enumerate(zip(before.decode(video=0), after.decode(video=0), strict=True))
        assert np.mean([psnr(luma(a), luma(b)) for place, (a, b) in pairs if place % 8 == 0]) > least
    assert parts[0].stat().st_size < 1.5 * video.size
