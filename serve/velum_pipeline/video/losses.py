"""Frames that a damaged file has no packets of any more, as far as its container still tells of them.

A demuxer that meets damage looks for the next place that makes sense and says nothing of what it passed over. What is
left to tell of it differs: an AVI lists its packets in an index. In Matroska packets lie one behind the other, and the
end of each track is told in a tag; transport streams count theirs, and what a lost one was part of is mostly marked as
corrupt. There a gap in the times of a constant rate is a loss if bytes are missing, or marked, beside it: else the gap
is the camera's, which may leave frames away. Of varying rates, and of the end of a transport stream, nothing can be
known; nor of a frame whose head, in a transport stream, was hit just so that all of it looks like filling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from velum_pipeline.media.kinds import AVI, MATROSKA, MPEG_TS, WEBM, MediaType
from velum_pipeline.video.opening import MAX_FAILURES, is_end, known_stream, opened, packets
from velum_pipeline.video.source import Opener
from velum_pipeline.video.timestamps import MISSING, Packets, Timeline

HOLE_BYTES = 256
"""Between two packets of a Matroska file, from which they are missing: heads of clusters and blocks take some 50."""
UNEVEN = 0.1
"""Of a frame's length, by which times of a constant rate may be rounded."""
CONSTANT = 0.75
"""Part of the frames that must be of the usual length for the rate to be a constant one."""
AS_THEY_LIE = {"fflags": "+noparse+nofillin"}
"""FFmpeg's options for packets as the container has them: its parsers join what lost its head to the frame before, and
forget that it was corrupt."""
BESIDE = 16
"""Frames by which damage may lie off the gap it made: so far H.264 and HEVC move frames from the order of display."""


@dataclass(frozen=True)
class Announced:
    """What a container says of a stream before its packets are read; None where it says nothing.

    packets: that are not empty. end: of its last frame, in seconds.
    """

    packets: int | None = None
    end: Fraction | None = None


def announced(media_type: MediaType, stream: VideoStream) -> Announced:
    """What is said of a stream that was just opened."""
    if media_type == AVI:
        return Announced(packets=sum(1 for entry in stream.index_entries if entry.size))
    if media_type in (MATROSKA, WEBM):
        return Announced(end=_seconds(stream.metadata.get("DURATION", "")))
    return Announced()


def lost(
    opener: Opener,
    media_type: MediaType,
    pixels: int,
    index: int,
    found: Packets,
    times: Timeline,
    told: Announced,
    broken: int,
) -> int:
    """How many frames of the video are known to be missing from its timeline.

    pixels: see `opened`. index: the stream's. broken: packets of which no frame came, where frames were counted.
    """
    if media_type == AVI:
        listed = told.packets or 0
        missing = max(0, listed - len(found))
        return max(missing + broken, listed - len(times.pts)) if missing or broken else 0
    return max(broken, _gone(opener, media_type, pixels, index, times, told))  # a broken one leaves a gap too


def _gone(opener: Opener, media_type: MediaType, pixels: int, index: int, times: Timeline, told: Announced) -> int:
    """The same where nothing but gaps and the announced end tells of packets that are missing."""
    step = _constant(times.pts)
    if step is None:
        return 0
    with opened(opener, media_type, pixels, **(AS_THEY_LIE if media_type == MPEG_TS else {})) as container:
        stream = known_stream(container, index)
        tail = 0 if told.end is None else round((float(told.end / Fraction(stream.time_base or 1)) - times.end) / step)
        gaps = np.flatnonzero(np.round(np.diff(times.pts) / step) != 1)
        if not len(gaps):
            return max(0, tail)
        hurt = list(_marked(container, stream, times.pts) if media_type == MPEG_TS else _holes(container, stream))
    hurt = [*hurt, int(times.pts[-1])] if tail > 0 else hurt
    return max(0, tail) + _between(times.pts, gaps, step, np.array(hurt, np.int64))


def _between(pts: NDArray[np.int64], gaps: NDArray[np.intp], step: float, hurt: NDArray[np.int64]) -> int:
    """Frames that are missing in gaps with damage beside them, less those that came twice at one time.

    hurt: (N,) pts of packets that follow damage.
    """
    frames = 0
    for gap in gaps:
        start, stop = pts[gap] - BESIDE * step, pts[gap + 1] + BESIDE * step
        if ((hurt >= start) & (hurt <= stop)).any():
            frames += round(float(pts[gap + 1] - pts[gap]) / step) - 1
    return max(0, frames)


def _constant(pts: NDArray[np.int64]) -> float | None:
    """A frame's usual length where the rate is constant but for gaps."""
    steps = np.diff(pts)
    if not len(steps):
        return None
    usual = float(np.median(steps))
    single = np.abs(steps - usual) < max(1.5, UNEVEN * usual)
    if single.mean() < CONSTANT:
        return None
    usual = float(steps[single].mean())
    away = np.abs(steps / usual - np.round(steps / usual)) * usual
    return usual if (away < max(1.5, UNEVEN * usual)).all() else None


def _holes(container: InputContainer, stream: VideoStream) -> Iterator[int]:
    """The pts of the video's packets on either side of places where bytes belong to no packet of any stream."""
    behind, last, open_hole, failures = None, MISSING, False, 0
    while failures < MAX_FAILURES:
        try:
            for packet in container.demux():
                if is_end(packet):
                    return
                if packet.pos is None or packet.pos < 0:
                    continue
                open_hole |= behind is not None and packet.pos - behind > HOLE_BYTES
                behind = max(behind or 0, packet.pos + packet.size)
                if packet.stream_index == stream.index and packet.pts is not None:
                    if open_hole:
                        yield from (last, packet.pts)
                    last, open_hole = packet.pts, False
        except av.FFmpegError:
            failures, open_hole = failures + 1, True
        else:
            return


def _marked(container: InputContainer, stream: VideoStream, shown: NDArray[np.int64]) -> Iterator[int]:
    """The pts of the video's packets that are corrupt, or not shown, and of those before them: theirs may be noise."""
    last = int(shown[0])
    for packet in packets(container, stream):
        pts = last if packet is None or packet.pts is None else packet.pts
        at = np.searchsorted(shown, pts)
        if packet is None or packet.is_corrupt or at == len(shown) or shown[at] != pts:
            yield from (last, pts)
        last = pts


def _seconds(text: str) -> Fraction | None:
    """Of hours, minutes and seconds with nine decimals, as Matroska's tags have them."""
    try:
        hours, minutes, seconds = text.rstrip("\0").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):
        return None
