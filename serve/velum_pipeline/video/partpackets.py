"""The packets of all segments' files as one stream: checked, and with the decoding times that one stream has."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from velum_pipeline.errors import StageFailed
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import shift

LONGEST = 2**31 - 1
"""Units of time that a packet of an mp4 can last; they are unit fractions of a second."""


@dataclass(frozen=True)
class Checked:
    """What a look at all parts told.

    frames: packets in all. depth: how many frames are decoded before the first is shown, at most. parts: those that
    have frames.
    """

    frames: int
    depth: int
    parts: tuple[Path, ...]


@dataclass(frozen=True)
class _Part:
    ordinals: list[int]
    coding: tuple[object, ...]

    @property
    def depth(self) -> int:
        """How many frames a frame is decoded before its turn, at most."""
        shown = np.argsort(np.argsort(self.ordinals))
        return int(np.max(np.arange(len(shown)) - shown))


def check(video: Video, parts: Sequence[Path], skipped: int) -> Checked:
    """Look at every packet's time. skipped: how many of the video's frames are in no part.

    Raises StageFailed when the parts do not follow each other, lack frames or have too many, or do not fit together.
    """
    frames, depth, last = 0, 0, -1
    coding: tuple[object, ...] | None = None
    full = []
    for path in parts:
        part = _look(video, path)
        if part is None:
            continue
        if coding not in (None, part.coding):
            raise StageFailed(f"{path.name} is not coded as the parts before it")
        if len(set(part.ordinals)) != len(part.ordinals) or min(part.ordinals) <= last:
            raise StageFailed(f"{path.name} has frames that were there before")
        coding, last = part.coding, max(part.ordinals)
        depth, frames = max(depth, part.depth), frames + len(part.ordinals)
        full.append(path)
    if not full or frames + skipped != video.frames:
        raise StageFailed(f"the parts have {frames} frames, and {skipped} were skipped, of {video.frames}")
    return Checked(frames, depth, tuple(full))


def _look(video: Video, path: Path) -> _Part | None:
    """None for a part without frames, of which FFmpeg cannot even tell what it is; what is missing shows in the sum."""
    try:
        part = av.open(str(path), "r", format="nut")
    except av.InvalidDataError:
        return None
    except av.FFmpegError as error:
        raise StageFailed(f"{path.name} cannot be read: {error}") from error
    with part:
        stream = part.streams.video[0]
        context = stream.codec_context
        coding = (context.name, context.width, context.height, context.pix_fmt, context.extradata)
        ordinals = [ordinal for ordinal, _ in _numbered(video, path, part.demux(stream))]
    return _Part(ordinals, coding) if ordinals else None


def packets(video: Video, checked: Checked, end: int, moved: int = 0) -> Iterator[Packet[VideoStream]]:
    """All packets in the order of decoding, timed in the video's time base.

    end: when the last frame ends. moved: what is added to all times.

    A frame is decoded when the one ``checked.depth`` places before it is shown, so decoding times rise, and are never
    later than the frame is shown.
    """
    waiting: list[int] = []
    longest = LONGEST // video.time_base.numerator
    step = max(round(1 / (video.rate * video.time_base)), 1) if video.rate else 1
    early = [int(video.pts[0]) - step * ahead for ahead in range(checked.depth, 0, -1)]
    for path in checked.parts:
        with av.open(str(path), format="nut") as part:
            for ordinal, packet in _numbered(video, path, part.demux(part.streams.video[0])):
                heapq.heappush(waiting, int(video.pts[ordinal]))
                packet.dts = (early.pop(0) if early else heapq.heappop(waiting)) + moved
                packet.pts = int(video.pts[ordinal]) + moved
                packet.time_base = video.time_base
                until = end if ordinal + 1 == video.frames else int(video.pts[ordinal + 1])
                packet.duration = min(until - int(video.pts[ordinal]), longest)
                yield packet


def _numbered(
    video: Video, path: Path, demuxed: Iterator[Packet[VideoStream]]
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """Packets with their frames' ordinals. Raises StageFailed for a time at which the video has no frame."""
    try:
        for packet in demuxed:
            if not packet.size:
                continue  # PyAV's own at the end, which would flush a decoder
            if packet.pts is None:
                raise StageFailed(f"{path.name} has a frame without a time")
            ticks = packet.pts * packet.time_base / video.time_base - shift(video)
            ordinal = int(np.searchsorted(video.pts, int(ticks)))
            if ordinal == video.frames or video.pts[ordinal] != ticks:
                raise StageFailed(f"{path.name} has a frame at {ticks}, where the video has none")
            yield ordinal, packet
    except av.FFmpegError as error:
        raise StageFailed(f"{path.name} cannot be read: {error}") from error
