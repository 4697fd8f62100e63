"""Flipped bytes anywhere in a file: through all of the work there is a whole result, or an error that says why."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from support.videos import CLIPS
from support.videos.broken import remuxed
from velum_pipeline.errors import MediaError, StageFailed
from velum_pipeline.options import Gps
from velum_pipeline.video.clip import require_frames
from velum_pipeline.video.encoder import Encoding, SegmentWriter
from velum_pipeline.video.join import Joined, join
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded
from velum_pipeline.video.structure import EBML_VOID

Clips = Callable[[str], Path]
OF_EACH = ("tracks.mp4", "tracks.mkv", "subtitles.webm", "prores.mov", "mpeg4.avi", "h264-bframes.avi", "h264.ts",
           "hevc.ts")  # fmt: skip
FLIPPED = 25
"""Files of each; by hand some 10000 were tried."""
FAST = Encoding(preset="ultrafast")


def flipped(data: bytes, chance: random.Random) -> bytes:
    """A file with bytes changed: in its header, at its end, or anywhere; of a few some are lost."""
    changed, size = bytearray(data), len(data)
    start, stop = chance.choice(((0, 800), (0, 4000), (max(0, size - 4000), size), (0, size), (0, size)))
    stop = min(stop, size)
    for _ in range(chance.choice((1, 2, 4, 10, 40))):
        at = chance.randrange(start, stop)
        if chance.random() < 0.7:
            changed[at] = chance.randrange(256)
        else:
            changed[at : at + 8] = chance.randbytes(min(8, size - at))
    if chance.random() < 0.05:
        at = chance.randrange(start, stop)
        del changed[at : at + chance.choice((1, 5, 300))]
    return bytes(changed)


def passed(data: bytes, folder: Path, gps: Gps = Gps.KEEP) -> tuple[Path, Joined]:
    """A file's video read, written anew in one or two segments, and put together with the rest of the file."""
    video = probe(lambda: io.BytesIO(data))
    bounds = [0, *(int(key) for key in video.keys[1:2])]
    parts, frames = [], 0
    for first, stop in zip(bounds, [*bounds[1:], video.frames], strict=True):
        parts.append(folder / f"{first}.nut")
        with SegmentWriter(parts[-1], video, FAST, 1) as writer:
            for each in decoded(lambda: io.BytesIO(data), video, first, stop, threads=1):
                writer.write(each.frame)
                frames += 1
    require_frames(frames, video.frames - frames)
    target = folder / "out.mp4"
    return target, join(lambda: io.BytesIO(data), video, parts, target, gps=gps, skipped=video.frames - frames)


@pytest.mark.parametrize("name", OF_EACH)
def test_there_is_a_whole_result_or_an_error_with_a_reason(clip: Clips, name: str, tmp_path: Path) -> None:
    chance, whole = random.Random(name), 0
    for number in range(FLIPPED):
        data = flipped(clip(name).read_bytes(), chance)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            target, joined = passed(data, folder, chance.choice(list(Gps)))
        except (MediaError, StageFailed):
            assert list(folder.glob("*.mp4")) == list(folder.glob(".*")) == []
            continue
        whole += 1
        with av.open(str(target)) as written:
            assert sum(1 for _ in written.decode(video=0)) == joined.frames <= CLIPS[name].frames
    assert whole > FLIPPED // 5


@pytest.mark.parametrize(("name", "codec"), [("subtitles.webm", b"OpusHead"), ("tracks.mkv", b"fLaC")])
def test_sound_whose_header_is_damaged_is_left_out_by_name(
    clip: Clips, tmp_path: Path, name: str, codec: bytes
) -> None:
    data = bytearray(clip(name).read_bytes())
    at = data.index(codec)
    rest = data[at - 1] - 0x80 - len(codec)
    data[at - 1] -= rest  # of Matroska's CodecPrivate nothing is left but the header's name; the rest becomes padding
    data[at + len(codec) : at + len(codec) + 2] = bytes([EBML_VOID, 0x80 + rest - 2])
    target, joined = passed(bytes(data), tmp_path)
    assert [words.split(": ")[1] for words in joined.left_out] == ["its header is damaged"]
    with av.open(str(target)) as written:
        assert len(written.streams.audio) == len(CLIPS[name].sounds) - 1


def test_a_stream_that_comes_up_on_the_way_is_not_asked_for(clip: Clips, tmp_path: Path) -> None:
    """The joined file has the streams that the source began with."""
    first = clip("h264.ts").read_bytes()
    later = remuxed(clip("hevc.ts"), "mpegts", mpegts_start_pid="768", mpegts_pmt_start_pid="5000")
    target, _ = passed(first * 40 + later, tmp_path)
    with av.open(str(target)) as written:
        assert [each.type for each in written.streams] == ["video", "audio"]
