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


@dataclass(frozen=True)
class Checked:
    """What a look at all parts told. frames: packets in all. depth: how many frames are decoded before the first is
    shown, at most. first: the part that has the first frame."""

    frames: int
    depth: int
    first: Path


def check(video: Video, parts: Sequence[Path], skipped: int) -> Checked:
    """Look at every packet's time. skipped: how many of the video's frames are in no part.

    Raises StageFailed when the parts do not follow each other, lack frames or have too many, or do not fit together.
    """
    frames = depth = 0
    last: int | None = None
    like: object = None
    first: Path | None = None
    for path in parts:
        ranks = []
        with av.open(str(path), format="nut") as part:
            stream = part.streams.video[0]
            if like not in (None, looks := _looks(stream)):
                raise StageFailed(f"{path.name} is not coded as the parts before it")
            ranks = [ordinal for ordinal, _ in _numbered(video, path, part.demux(stream))]
        if not ranks:
            continue
        first, like = first or path, looks
        last = _follows(path, ranks, last)
        depth = max(depth, int(np.max(np.arange(len(ranks)) - np.argsort(np.argsort(ranks)))))
        frames += len(ranks)
    if first is None or frames + skipped != video.frames:
        raise StageFailed(f"the parts have {frames} frames, and {skipped} were skipped, of {video.frames}")
    return Checked(frames, depth, first)


def packets(video: Video, parts: Sequence[Path], depth: int, end: int) -> Iterator[Packet[VideoStream]]:
    """All packets in the order of decoding, timed in the video's time base. end: when the last frame ends.

    A frame is decoded when the one ``depth`` places before it is shown, so decoding times rise and are never later than
    the frame's own.
    """
    waiting: list[int] = []
    step = max(round(1 / (video.rate * video.time_base)), 1) if video.rate else 1
    early = [int(video.pts[0]) - step * ahead for ahead in range(depth, 0, -1)]
    for path in parts:
        with av.open(str(path), format="nut") as part:
            for ordinal, packet in _numbered(video, path, part.demux(part.streams.video[0])):
                heapq.heappush(waiting, int(video.pts[ordinal]))
                packet.dts = early.pop(0) if early else heapq.heappop(waiting)
                packet.pts = int(video.pts[ordinal])
                packet.time_base = video.time_base
                until = end if ordinal + 1 == video.frames else int(video.pts[ordinal + 1])
                packet.duration = until - int(video.pts[ordinal])
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


def _follows(path: Path, ranks: Sequence[int], last: int | None) -> int:
    """The last ordinal. Raises StageFailed when a frame is there twice, or before what was in the parts before."""
    if len(set(ranks)) != len(ranks) or (last is not None and min(ranks) <= last):
        raise StageFailed(f"{path.name} has frames that were there before")
    return max(ranks)


def _looks(stream: VideoStream) -> tuple[object, ...]:
    context = stream.codec_context
    return context.name, context.width, context.height, context.pix_fmt, context.extradata
