"""Broken files are refused with the reason, or read around what is broken; nothing ever crashes or hangs."""

from __future__ import annotations

import io
import random
import resource
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from support.videos import CLIPS, made
from support.videos.broken import BROKEN, avi_rate, avi_size, cut, damaged, jpeg_sizes, truncated_rewritten
from support.videos.clip import Clip
from velum_pipeline.errors import MediaError, UnsupportedMedia
from velum_pipeline.media.kinds import MP4
from velum_pipeline.video import opening
from velum_pipeline.video.probe import VideoLimits, probe
from velum_pipeline.video.reader import decoded

Clips = Callable[[str], Path]
BOMB_MIB = 200
"""More memory than this must not be taken by a file that announces frames of gigabytes."""


def read(data: bytes, threads: int = 2) -> tuple[int, list[int]]:
    """How many frames there are, and the ordinals that decode."""
    video = probe(lambda: io.BytesIO(data))
    frames = decoded(lambda: io.BytesIO(data), video, 0, video.frames, threads=threads)
    return video.frames, [each.ordinal for each in frames]


@pytest.mark.parametrize("name", BROKEN)
def test_is_refused_with_its_reason(clip: Clips, name: str) -> None:
    broken = BROKEN[name]
    data = broken.make(clip)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError) as error:
        probe(lambda: io.BytesIO(data))
    assert type(error.value) is broken.refused, str(error.value)
    assert broken.because in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < BOMB_MIB * 1024


@pytest.mark.parametrize(("part", "least"), [(0.3, 5), (0.5, 10), (0.9, 25)])
def test_a_recording_that_promised_no_end_is_read_as_far_as_it_goes(clip: Clips, part: float, least: int) -> None:
    for data in (cut("h264.ts", part)(clip), truncated_rewritten("h264.mp4", "mkv", part, live="1")(clip)):
        frames, ordinals = read(data)
        assert least <= len(ordinals) <= frames < 30
        assert ordinals == list(range(len(ordinals)))


@pytest.mark.parametrize("name", [name for name in CLIPS if CLIPS[name].frames > 1])
def test_what_is_damaged_is_left_out_and_the_rest_is_read(clip: Clips, name: str) -> None:
    for seed in range(3):
        frames, ordinals = read(damaged(clip(name), seed))
        assert frames <= CLIPS[name].shown
        assert ordinals == sorted(set(ordinals))
        assert set(ordinals) <= set(range(frames))


def test_a_damaged_packet_costs_frames_up_to_the_next_key_frame(clip: Clips) -> None:
    data = bytearray(clip("h264.mp4").read_bytes())
    ends = _packet_ends(clip("h264.mp4"))
    data[ends[13] - 100 : ends[13] - 20] = bytes(80)
    assert read(bytes(data)) == (30, [*range(13), *range(20, 30)])


def test_a_damaged_packet_of_intra_frames_costs_one_frame(clip: Clips) -> None:
    data = bytearray(clip("prores.mov").read_bytes())
    ends = _packet_ends(clip("prores.mov"))
    data[ends[12] : ends[12] + 60] = bytes(60)
    assert read(bytes(data)) == (30, [*range(13), *range(14, 30)])


def test_what_is_left_out_does_not_depend_on_threads(clip: Clips) -> None:
    for name in ("h264.mp4", "h264-bframes.mp4", "hevc.mkv", "mpeg4.mp4", "mpeg2.ts"):
        for seed in range(4):
            data = damaged(clip(name), seed)
            assert read(data, threads=1) == read(data, threads=2) == read(data, threads=5)


def test_frames_that_suddenly_announce_gigabytes_are_left_out(clip: Clips) -> None:
    data = jpeg_sizes(clip("mjpeg.avi").read_bytes(), 30000, 30000, skipped=15)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read(data) == (30, list(range(15)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < BOMB_MIB * 1024


def test_an_absurd_header_that_the_frames_contradict_does_no_harm(clip: Clips) -> None:
    data = clip("mjpeg.avi").read_bytes()
    assert read(avi_size(data, 60000, 60000)) == (30, list(range(30)))
    for rate, scale in ((0, 1), (25, 0), (1, 1_000_000)):
        assert read(avi_rate(data, rate, scale)) == (30, list(range(30)))


def test_limits_are_the_callers(clip: Clips) -> None:
    path = clip("h264.mp4")
    for limits, words in (
        (VideoLimits(frame_pixels=160 * 120 - 1), "160 x 120 pixels; the limit is 19199"),
        (VideoLimits(frames=29), "more than 29 frames"),
        (VideoLimits(rate=24), "30 frames in 1.2 s are more than 24 per second"),
    ):
        with pytest.raises(MediaError, match=words):
            probe(lambda: path.open("rb"), limits)
    assert probe(lambda: path.open("rb"), VideoLimits(19200, 25, 30)).frames == 30


def test_errors_of_the_storage_are_not_taken_for_a_broken_file(clip: Clips) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 4096:
                raise ConnectionError("the storage is gone")
            return super().read(size)

    data = clip("h264.ts").read_bytes()
    with pytest.raises(ConnectionError, match="the storage is gone"):
        probe(lambda: Failing(data))


@pytest.mark.parametrize("seed", range(4))
def test_noise_anywhere_ends_in_frames_or_a_media_error(clip: Clips, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(40):
        data = bytearray(clip(chance.choice(list(CLIPS))).read_bytes())
        start, stop = chance.choice(((0, 1500), (len(data) - 4000, len(data)), (0, len(data))))
        for _ in range(chance.choice((1, 2, 8, 30))):
            data[chance.randrange(max(0, start), min(stop, len(data)))] = chance.randrange(256)
        try:
            frames, ordinals = read(bytes(data))
        except MediaError:
            continue
        assert len(ordinals) <= frames


def test_no_other_file_is_opened_whatever_a_container_asks_for(clip: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opening.DEMUXERS, MP4, "hls")  # a demuxer that we never name, because it lives on other files
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nfile://{clip('h264.ts')}\n#EXT-X-ENDLIST\n".encode()
    with (
        pytest.raises(UnsupportedMedia, match=r"refers to another one \(h264.ts\), which is not followed"),
        opening.opened(lambda: io.BytesIO(playlist), MP4, 10**6),
    ):
        pass


def test_a_codec_that_is_not_known_is_named(clip: Clips) -> None:
    data = clip("mjpeg.avi").read_bytes().replace(b"MJPG", b"QQQQ")
    with pytest.raises(UnsupportedMedia, match="video stream 0 is coded in a way that is not known here"):
        probe(lambda: io.BytesIO(data))


def _packet_ends(path: Path) -> list[int]:
    import av

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [packet.pos + packet.size for packet in packets]


def test_a_gap_that_no_mp4_can_hold_is_refused(tmp_path: Path) -> None:
    clock = Clip("gap.mkv", "a broken clock", frames=8, clock=Fraction(1, 1000), pts=lambda n: 40 * n + (n > 4) * 2**31)
    with pytest.raises(UnsupportedMedia, match="between frames 4 and 5 lie 597 hours"):
        probe(lambda: made(clock, tmp_path).open("rb"))
