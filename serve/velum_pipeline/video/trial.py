"""The rate factor of a video whose source says in few bits what the encoder needs many for.

A cap on the bit rate holds the size of ordinary videos, with a rate factor that may rise a little (see `encoding`). A
source of a newer codec at a low rate needs more than that, and a tighter cap would spoil whatever moves: such a video
gets one rate factor of its own. It is found by encoding some of the video's frames at one rate factor: the logarithm
of the size falls evenly as that rises, so one size tells the others. What counts is the size beside that of the same
frames in the source, for windows differ more from each other than these ratios do.

It is done once for a video, before its segments are worked on, and is the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import av
import numpy as np

from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import SegmentWriter
from velum_pipeline.video.encoding import LEAST_RATE, Encoding, largest_rate
from velum_pipeline.video.opening import decodable, known_stream, opened, packets
from velum_pipeline.video.reader import decoded
from velum_pipeline.video.segments import SEGMENT_FRAMES
from velum_pipeline.video.source import Opener

FITTED = ("x264", "x265")
"""Codecs that a rate factor of their own is found for: NVENC's cap holds whatever the picture, SVT-AV1 has none."""
SPARSE = 0.1
"""Bits of the source for a pixel, from which on no trial is made: there the cap held the size of all that was tried."""
WINDOW = 33
"""Frames of a window: a key frame and the longest group that SVT-AV1 codes together (two of VP9's), whose bytes come
all at the group's beginning."""
TAIL = 10
"""Frames that are encoded after a window and not counted: a frame gets more bits when others are seen to follow."""
FRAMES_PER_WINDOW = 300
"""Of the video: about a tenth of its frames are tried, and of one that is longer than eight times that, less."""
WINDOWS = 8
TARGET = 1.3
"""Times the source's size; as much again as a trial may err lies between this and the 1.5 that is promised."""
RISE = 12.0
"""Of the rate factor that is tried above that of the quality: in the middle of what is chosen."""
HELD = 8.0
"""Above that of the quality: up to there the cap, which may raise the rate factor by 6, and twice that for frames that
nothing refers to, was seen to keep the size, and the video is left to it."""
SLOPE = 0.107
"""By which the logarithm of the size falls with each unit of the rate factor: measured 0.103 to 0.115 for x264 from 18
to 34, on sources of AV1 and HEVC."""
WORST = 42.0
"""The largest rate factor that is chosen, beyond which the picture falls into blocks."""

Window = tuple[int, int]


@dataclass
class _Bytes:
    """How many key frames and other frames there are, and their bytes."""

    keys: int = 0
    key_bytes: int = 0
    others: int = 0
    other_bytes: int = 0

    def add(self, sizes: Sequence[tuple[int, bool]]) -> None:
        """Count packets: their bytes, and whether each is a key frame's."""
        for size, key in sizes:
            if key:
                self.keys, self.key_bytes = self.keys + 1, self.key_bytes + size
            else:
                self.others, self.other_bytes = self.others + 1, self.other_bytes + size

    def of(self, frames: int, keys: int) -> float:
        """Bytes of a video with so many frames and key frames of this kind; windows have more key frames than it."""
        key, other = self.key_bytes / max(self.keys, 1), self.other_bytes / max(self.others, 1)
        return key * keys + (other if self.others else key) * (frames - keys)


def fitted(opener: Opener, video: Video, encoding: Encoding, *, threads: int = 0) -> Encoding:
    """The encoding with a rate factor for this video, or as it is where the cap keeps the size.

    Also where no trial is made, or none can be: above the default quality, of frames that are broken.

    What is encoded here is not redacted, so it stays in memory. threads: of decoder and encoder, 0 for as many as there
    are cores. Raises what decoding and encoding raise.
    """
    if not _wanted(video, encoding):
        return encoding
    tried = replace(encoding, factor=_tried(encoding))
    before, after = _Bytes(), _Bytes()
    for window, source in _sources(opener, video):
        file = BytesIO()
        if _encoded(opener, video, window, SegmentWriter(file, video, tried, threads), threads):
            before.add(source)
            after.add(_sizes(file, [key for _, key in source]))
    return replace(encoding, factor=_chosen(video, encoding, before, after))


def windows(video: Video) -> list[Window]:
    """Frames [first, stop) that are tried: spread over the video, each from a key frame on, none twice."""
    count = min(max(video.frames // FRAMES_PER_WINDOW, 1), WINDOWS)
    wanted = [video.frames * (2 * each + 1) // (2 * count) if count > 1 else 0 for each in range(count)]
    firsts = sorted({int(video.keys[np.searchsorted(video.keys, ordinal, "right") - 1]) for ordinal in wanted})
    limits = [*firsts[1:], video.frames]
    return [
        (first, _stop(video, first, min(first + WINDOW, limit))) for first, limit in zip(firsts, limits, strict=True)
    ]


def _stop(video: Video, first: int, limit: int) -> int:
    """Where a window ends: before the last key frame if that leaves it half its length, lest it cut off a group."""
    key = int(video.keys[np.searchsorted(video.keys, limit, "right") - 1])
    return key if key - first > WINDOW // 2 else limit


def _wanted(video: Video, encoding: Encoding) -> bool:
    if encoding.codec not in FITTED or video.counted:
        return False
    if largest_rate(encoding, video) is None:
        return False
    return 8 * video.size < SPARSE * video.frames * video.width * video.height


def _sources(opener: Opener, video: Video) -> Iterator[tuple[Window, list[tuple[int, bool]]]]:
    """Windows, and their frames' sizes in the source. Those without a packet for each frame are left out."""
    pixels = decodable(video.width * video.height)
    with opened(opener, video.media_type, pixels) as container:
        stream = known_stream(container, video.stream)
        for first, stop in windows(video):
            start = int(video.pts[first])
            end = int(video.pts[stop]) if stop < video.frames else video.end
            container.seek(start, stream=stream)
            found: list[tuple[int, int, bool]] = []
            for packet in packets(container, stream):
                if packet is None or packet.pts is None or packet.pts < start:
                    continue
                if packet.dts is not None and packet.dts >= end:
                    break
                if packet.pts < end:
                    found.append((packet.pts, packet.size, packet.is_keyframe))
                if len(found) == stop - first:
                    break
            if len(found) == stop - first:
                yield (first, stop), [(size, key) for _, size, key in sorted(found)]


def _encoded(opener: Opener, video: Video, window: Window, writer: SegmentWriter, threads: int) -> bool:
    """Encode a window and its tail. Returns whether all of its frames decoded."""
    first, stop = window
    count = 0
    with writer:
        for each in decoded(opener, video, first, min(stop + TAIL, video.frames), threads=threads):
            writer.write(each.frame)
            count += each.ordinal < stop
    return count == stop - first


def _sizes(file: BytesIO, keys: Sequence[bool]) -> list[tuple[int, bool]]:
    """Of a window's frames. keys: which ones are the source's key frames.

    What is new in those has to be coded, be it in a key frame or after it, so they count as key frames here too.
    """
    file.seek(0)
    with av.open(file, "r", format="nut") as container:
        shown = sorted((packet.pts or 0, packet.size) for packet in container.demux(video=0) if packet.size)
    return [(size, key) for (_, size), key in zip(shown, keys, strict=False)]


def _chosen(video: Video, encoding: Encoding, before: _Bytes, after: _Bytes) -> float | None:
    """The rate factor that keeps the video's size, None where the cap keeps it or nothing could be tried."""
    if not before.keys:
        return None
    frames, keys = video.frames, len(video.keys)
    ratio = after.of(frames, max(keys, frames // SEGMENT_FRAMES)) / max(before.of(frames, keys), 1)
    allowed = max(TARGET, LEAST_RATE / 8 * video.seconds / video.size)
    factor = _tried(encoding) + math.log(max(ratio, 1e-3) / allowed) / SLOPE
    return round(min(factor, WORST), 1) if factor > encoding.facts.rate_factor(encoding.quality) + HELD else None


def _tried(encoding: Encoding) -> float:
    return encoding.facts.rate_factor(encoding.quality) + RISE
