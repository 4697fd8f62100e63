"""Segments put together: no seam, every other packet as it was, nothing that may show or tell what it should not."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type

from support import videos
from support.segmentfiles import boxes, described, frames, luma, psnr, segmented, written
from support.videos import Clip
from support.videos.clip import Sound, Words
from support.videos.scene import number
from velum_pipeline.errors import StageFailed
from velum_pipeline.options import Gps
from velum_pipeline.video import tags, trackentry
from velum_pipeline.video.description import Colour, Hdr, Light, Video
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.join import Joined, interleaved, join
from velum_pipeline.video.probe import probe

SEAMLESS = 38.0
"""dB between what was encoded in one piece and in three: two encodings of the same pictures."""
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip | str], Path]:
    """made("tracks.mp4"): the clip's file."""
    return partial(_made, folder=tmp_path_factory.mktemp("clips"))


def _made(clip: Clip | str, folder: Path) -> Path:
    return videos.made(clip, folder)


def joined(
    source: Path, folder: Path, bounds: Sequence[int] = (0,), gps: Gps = Gps.KEEP, name: str = "out.mp4"
) -> tuple[Path, Joined]:
    video, parts = segmented(source, folder, bounds)
    return folder / name, join(partial(open, source, "rb"), video, parts, folder / name, gps=gps)


def pictures(path: Path) -> list[tuple[Fraction, np.ndarray[Any, Any]]]:
    with av.open(str(path)) as file:
        return [(frame.pts * frame.time_base, luma(frame).copy()) for frame in file.decode(video=0)]


def payloads(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as file:
        wanted = [stream for stream in file.streams if stream.type == kind and stream.discard != av.stream.Discard.all]
        return [bytes(packet) for packet in file.demux(wanted) if packet.size]


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


@pytest.mark.parametrize("kind", ["audio", "subtitle", "data"])
def test_other_packets_are_copied_bit_for_bit(tmp_path: Path, made: Callable[[str], Path], kind: str) -> None:
    path, told = joined(made("tracks.mp4"), tmp_path, (0, 10, 20))
    assert told.left_out == told.converted == ()
    silence = b"\0\0"  # an empty line of text, which the muxer puts where nothing is said
    before, after = ([data for data in payloads(one, kind) if data != silence] for one in (made("tracks.mp4"), path))
    assert before
    assert after == before


def test_text_subtitles_become_timed_text_with_the_same_words_and_times(
    tmp_path: Path, made: Callable[[str], Path]
) -> None:
    path, told = joined(made("tracks.mkv"), tmp_path)
    assert len(told.converted) == 2
    assert all("to mov_text" in words for words in told.converted)
    with av.open(str(path)) as file:
        stream = file.streams.subtitles[1]
        found = [
            (round(float(packet.pts * packet.time_base), 3), round(float(packet.duration * packet.time_base), 3), text)
            for packet in file.demux(stream)
            if (text := bytes(packet)[2:].decode()[: int.from_bytes(bytes(packet)[:2], "big")])
        ]
        assert stream.language == "deu"
    assert found == [(start, round(end - start, 3), text) for start, end, text in Words("ass").lines]


def test_what_mp4_cannot_hold_is_named(tmp_path: Path, made: Callable[[Clip | str], Path]) -> None:
    source = made(Clip("mulaw.mov", "telephone sound", sounds=(Sound("pcm_mulaw"), Sound("aac", "deu"))))
    path, told = joined(source, tmp_path)
    assert told.left_out == ("stream 1 (audio, pcm_mulaw): mp4 cannot hold it",)
    with av.open(str(path)) as file:
        assert [stream.codec_context.name for stream in file.streams.audio] == ["aac"]


@pytest.mark.parametrize("name", ["cover.mp4", "cover.mkv"])
def test_a_cover_is_never_copied(tmp_path: Path, made: Callable[[Clip | str], Path], name: str) -> None:
    source = made(Clip(name, "with a cover", cover=True, sounds=(Sound("aac"),)))
    with av.open(str(source)) as file:
        assert len(file.streams.video) == 2  # else there was nothing to leave out
    path, _ = joined(source, tmp_path)
    with av.open(str(path)) as file:
        assert [stream.codec_context.name for stream in file.streams.video] == ["h264"]
    assert b"\xff\xd8\xff" not in path.read_bytes()


def test_places_go_on_request(tmp_path: Path, made: Callable[[str], Path]) -> None:
    kept, _ = joined(made("tracks.mp4"), tmp_path, name="kept.mp4")
    path, told = joined(made("tracks.mp4"), tmp_path, gps=Gps.STRIP)
    assert any("data" in words and "where" in words for words in told.left_out)
    assert "tag location" in told.left_out
    with av.open(str(kept)) as with_place, av.open(str(path)) as without:
        assert "location" in with_place.metadata
        assert not [key for key in without.metadata if "location" in key]
        assert without.metadata["title"] == with_place.metadata["title"] == "Ein Film"
    assert b"position" in kept.read_bytes()
    for trace in (b"position", b"48.1372", b"\xa9xyz", b"loci"):
        assert trace not in path.read_bytes()


@pytest.mark.parametrize(
    ("key", "value", "keep", "strip"),
    [
        ("title", "Ein Film", True, True),
        ("comment", "ein langer Text " * 2000, True, True),
        ("description", "x" * 5000, False, False),  # one word of 5000 letters is no text
        ("METADATA_BLOCK_PICTURE", "AAAAAw", False, False),
        ("com.samsung.thumbnail", "abc", False, False),
        ("location", "+48.1+11.5/", True, False),
        ("com.apple.quicktime.location.ISO6709", "+48.1+11.5/", True, False),
        ("xyz", "+48.1+11.5/", True, False),
        ("GPSLatitude", "48.1", True, False),
        ("encoder", "Lavf", False, False),
        ("major_brand", "qt  ", False, False),
        ("com.apple.quicktime.make", "Apple", True, True),
    ],
)
def test_tags_are_kept_when_they_are_text(key: str, value: str, keep: bool, strip: bool) -> None:
    assert (key in tags.kept({key: value}, Gps.KEEP)) is keep
    assert (key in tags.kept({key: value}, Gps.STRIP)) is strip


def test_tags_that_mp4_has_no_place_for_are_kept_as_well(tmp_path: Path, made: Callable[[Clip | str], Path]) -> None:
    told = {"title": "Ein Film", "CAMERA_MODEL": "X100"}
    path, _ = joined(made(Clip("model.mkv", "tags", tags=told)), tmp_path)
    with av.open(str(path)) as file:
        assert told.items() <= file.metadata.items()


CAPTION = b"\xfc\x94\x2c"
SEI = b"\0\0\0\1\x06"
CAPTIONS = SEI + b"\x04\x0e\xb5\0\x31GA94\x03\x41\xff" + CAPTION + b"\xff\x80"
"""Registered user data of ATSC A/53: one pair of bytes of closed captions."""
NOTES = SEI + b"\x05\x1c" + bytes(range(16, 32)) + b"48.137,11.575\x80"
"""Unregistered user data, as cameras put it there."""


def with_sei(folder: Path, sei: bytes) -> Path:
    """A video with these bytes before each of its pictures."""
    video, path = described(range(0, 12 * 512, 512)), folder / "sei.mp4"
    part = written(folder / "sei.nut", video, Encoding(), frames(video))
    with av.open(str(part)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                told = av.Packet(sei + bytes(packet))
                told.pts, told.dts, told.time_base = packet.pts, packet.dts, packet.time_base
                told.is_keyframe, told.stream = packet.is_keyframe, stream
                output.mux(told)
    return path


def test_closed_captions_stay(tmp_path: Path) -> None:
    source = with_sei(tmp_path, CAPTIONS)
    path, _ = joined(source, tmp_path, (0, 5))
    for each in (source, path):
        with av.open(str(each)) as file:
            told = [bytes(frame.side_data[Type.A53_CC]) for frame in file.decode(video=0)]
        assert told == [CAPTION] * 12


def test_what_a_camera_noted_in_the_stream_goes(tmp_path: Path) -> None:
    source = with_sei(tmp_path, NOTES)
    path, _ = joined(source, tmp_path, (0, 5))
    assert b"48.137" in source.read_bytes()
    assert b"48.137" not in path.read_bytes()


@pytest.mark.parametrize(
    ("codec", "sync", "field", "broken"),
    [("aac", b"\xff\xf1", 4, b"\0\0"), ("eac3", b"\x0b\x77", 2, b"\xff\xff")],  # a frame's length; its kind
)
def test_broken_sound_costs_its_packets_and_no_frame(
    tmp_path: Path, made: Callable[[Clip | str], Path], codec: str, sync: bytes, field: int, broken: bytes
) -> None:
    source = made(Clip(f"{codec}.ts", "sound that breaks", sounds=(Sound(codec),)))
    video, parts = segmented(source, tmp_path, (0, 10))
    data = bytearray(source.read_bytes())
    at = data.find(sync, len(data) // 3)
    while at >= 0:
        data[at + field : at + field + len(broken)] = broken
        at = data.find(sync, at + len(data) // 7)
    told = join(lambda: io.BytesIO(bytes(data)), video, parts, tmp_path / "out.mp4")
    assert [number(picture) for _, picture in pictures(tmp_path / "out.mp4")] == list(range(30))
    assert told.frames == 30
    assert 0 < len(payloads(tmp_path / "out.mp4", "audio")) < len(payloads(source, "audio"))


def test_light_levels_are_in_the_track_as_well_as_in_the_stream(tmp_path: Path, made: Callable[[str], Path]) -> None:
    path, _ = joined(made("hevc-hdr10.mp4"), tmp_path, (0, 10))
    head = path.read_bytes().partition(b"mdat")[0]
    assert b"mdcv" in head
    assert b"clli" + (1000).to_bytes(2, "big") + (400).to_bytes(2, "big") in head
    assert probe(partial(open, path, "rb")).hdr == probe(partial(open, made("hevc-hdr10.mp4"), "rb")).hdr


def test_hdr_boxes_hold_what_they_can() -> None:
    assert trackentry.hdr_boxes(Hdr(None, Light(10**9, -1)))[-4:] == b"\xff\xff\0\0"
    assert trackentry.hdr_boxes(Hdr(None, None)) == b""


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
    "kind",
    [
        "one too few", "wrong order", "one twice", "cut off", "of another coding", "of another preset",
        "of another video", "no video", "not there",
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_make_no_video(tmp_path: Path, made: Callable[[str], Path], kind: str) -> None:
    source = made("h264.mp4")
    video = probe(partial(open, source, "rb"))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(StageFailed):
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
