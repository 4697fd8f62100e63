"""What comes with the video when segments are joined: packets as they were, nothing that shows or tells too much."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type

from support import videos
from support.segmentfiles import described, frames, joined, payloads, pictures, segmented, written
from support.videos import Clip
from support.videos.clip import Sound, Words
from support.videos.scene import number
from velum_pipeline.options import Gps
from velum_pipeline.video import tags, trackentry
from velum_pipeline.video.description import Hdr, Light
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.join import join
from velum_pipeline.video.probe import probe


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Clip | str], Path]:
    """made("tracks.mp4"): the clip's file."""
    folder = tmp_path_factory.mktemp("clips")
    return lambda clip: videos.made(clip, folder)


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


def test_lines_of_subtitles_that_tell_a_place_go_on_request(tmp_path: Path, made: Callable[[Clip | str], Path]) -> None:
    """Drones write where they are into a track of subtitles."""
    lines = ((0.0, 0.3, "GPS(11.5756,48.1372,519.2)"), (0.3, 0.6, "hello 1.5, 2.5"), (0.6, 0.9, "48.13721, 11.57561 M"))
    for name, coding in (("drone.mp4", "mov_text"), ("drone.mkv", "subrip")):
        source = made(Clip(name, "a drone", subtitles=(Words(coding, "eng", lines),)))
        kept, _ = joined(source, tmp_path)
        assert kept.read_bytes().count(b"48.137") == 2
        path, told = joined(source, tmp_path, gps=Gps.STRIP)
        assert "2 lines of subtitles that tell a place" in told.left_out
        assert b"48.137" not in path.read_bytes()
        assert b"hello 1.5, 2.5" in path.read_bytes()


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
