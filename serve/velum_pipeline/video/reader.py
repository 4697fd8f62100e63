"""Any part of a video as frames, the same frames whichever part was asked for.

Decoding begins at a key frame at or before the first frame wanted, and it is looked whether the seek really landed
there; else one goes further back, in the end to the file's start. Nothing that was predicted from what is broken comes
out: after a packet that is damaged or does not decode, frames are left away until the next key frame. So what a frame
looks like depends on the packets since its key frame and on nothing before them, and what is left away is the same for
every range. Leading pictures, which refer to frames before the key frame they follow, are only decoded from further
back.

No frame is made up: a decoder that conceals an error reports it, and its frame is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.video.description import Video
from velum_pipeline.video.formats import Conversion
from velum_pipeline.video.looks import drained
from velum_pipeline.video.opening import decodable, opened, packets
from velum_pipeline.video.source import Opener

EARLIER_SECONDS = (0, 2, 20)
"""How far before its key frame a seek aims, one try after the other."""
STRICT = {"err_detect": "explode"}
"""FFmpeg's option: what does not decode is an error instead of a guess."""


@dataclass(frozen=True)
class Decoded:
    """A frame in the video's pixel format, as stored (not turned), its pts set; it may be written into."""

    ordinal: int
    frame: av.VideoFrame


class _Elsewhere(Exception):
    """Decoding cannot begin at this key frame, or not with this seek."""


def decoded(opener: Opener, video: Video, first: int, stop: int, *, threads: int = 0) -> Iterator[Decoded]:
    """The frames with ordinals from ``first`` to before ``stop``, in order. Those that do not decode are missing.

    threads: of the decoder; 0 for as many as there are cores. Closing the iterator early closes the file.
    Raises UnsupportedMedia naming the frame where the picture's size or format changes.
    """
    if not 0 <= first <= stop <= video.frames:
        raise ValueError(f"frames {first} to {stop} of {video.frames}")
    if first == stop:
        return
    convert = Conversion(video)
    for start in _starts(video, first):
        try:
            for ordinal, frame in _Pass(opener, video, start, threads).frames(stop):
                if ordinal >= first:
                    yield Decoded(ordinal, _stamped(convert(frame), video, ordinal))
        except _Elsewhere:
            continue
        return


def _stamped(frame: av.VideoFrame, video: Video, ordinal: int) -> av.VideoFrame:
    frame.time_base, frame.pts = video.time_base, int(video.pts[ordinal])
    return frame


@dataclass(frozen=True)
class _Start:
    """A key frame's ordinal, and how many seconds before it a seek aims; None: decode from the file's start."""

    key: int
    earlier: int | None


def _starts(video: Video, first: int) -> Iterator[_Start]:
    """Where decoding may begin, the best first."""
    at = int(np.searchsorted(video.keys, first, "right")) - 1
    for index in (at, at - 1):
        if index > 0:
            yield from (_Start(int(video.keys[index]), seconds) for seconds in EARLIER_SECONDS)
    yield _Start(0, None)


class _Pass:
    """One decoding from a start."""

    def __init__(self, opener: Opener, video: Video, start: _Start, threads: int) -> None:
        self._opener = opener
        self._video = video
        self._start = start
        self._threads = threads

    def frames(self, stop: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Ordinals and frames that may be used, in order, up to before ``stop``. Raises _Elsewhere."""
        video, expected, sound, failed = self._video, self._start.key, self._start.key == 0, False
        for frame in self._outputs():
            if frame is None:
                sound, failed = False, True
                continue
            ordinal = expected if video.counted else self._ordinal(frame)
            if ordinal is None or ordinal < expected:
                continue
            if ordinal >= stop:
                return
            self._require_same(frame, ordinal)
            key = frame.key_frame and (video.counted or self._is_key(ordinal))
            if expected == self._start.key > 0 and not failed and not (key and ordinal == expected):
                raise _Elsewhere
            whole = ordinal == expected and sound
            expected = ordinal + 1
            sound = not frame.is_corrupt and (whole or key)
            if sound:
                yield ordinal, frame

    def _outputs(self) -> Iterator[av.VideoFrame | None]:
        """What the decoder gives out; None for an error."""
        video = self._video
        with opened(self._opener, video.media_type, decodable(video.width * video.height)) as container:
            stream = _stream(container, video)
            stream.codec_context.thread_count = self._threads
            stream.codec_context.thread_type = "AUTO"
            stream.codec_context.options = STRICT | {"max_pixels": str(decodable(video.width * video.height))}
            for packet in self._everything(container, stream) if video.counted else self._sent(container, stream):
                try:
                    yield from stream.codec_context.decode(packet) if packet is not None else (None,)
                except av.FFmpegError:
                    yield None
            yield from drained(stream)

    def _everything(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
        for packet in packets(container, stream):
            if packet is not None and packet.is_corrupt:
                yield None
            yield packet

    def _sent(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """The packets from the start on, without those that refer to what is not there."""
        video, start = self._video, self._start
        wanted = int(video.pts[start.key]) if start.earlier is not None else None
        if start.earlier is not None and wanted is not None:
            _seek(container, stream, wanted - round(start.earlier / video.time_base))
        lead: int | None = None
        for packet in packets(container, stream):
            if packet is None or packet.is_corrupt:
                lead = None
                continue
            if lead is None and packet.is_keyframe and packet.pts is not None:
                if wanted is not None and packet.pts > wanted:
                    raise _Elsewhere
                if wanted is None or packet.pts == wanted:
                    lead, wanted = packet.pts, None
            if lead is not None and packet.pts is not None and packet.pts >= lead:
                yield packet
        if wanted is not None:
            raise _Elsewhere

    def _ordinal(self, frame: av.VideoFrame) -> int | None:
        pts = self._video.pts
        at = int(np.searchsorted(pts, frame.pts)) if frame.pts is not None else len(pts)
        return at if at < len(pts) and pts[at] == frame.pts else None

    def _is_key(self, ordinal: int) -> bool:
        keys = self._video.keys
        at = int(np.searchsorted(keys, ordinal))
        return at < len(keys) and int(keys[at]) == ordinal

    def _require_same(self, frame: av.VideoFrame, ordinal: int) -> None:
        video = self._video
        if (frame.width, frame.height) != (video.width, video.height):
            now, before = f"{frame.width} x {frame.height}", f"{video.width} x {video.height}"
            raise UnsupportedMedia(f"from frame {ordinal} on the video has {now} instead of {before} pixels")
        if frame.format.name != video.source_format:
            now, before = frame.format.name, video.source_format
            raise UnsupportedMedia(f"from frame {ordinal} on the video's samples are {now} instead of {before}")


def _stream(container: InputContainer, video: Video) -> VideoStream:
    streams = container.streams
    stream = streams[video.stream] if video.stream < len(streams) else None
    if not isinstance(stream, VideoStream):
        raise CorruptMedia("the file is not the one that was looked at: its video stream is gone")
    return stream


def _seek(container: InputContainer, stream: VideoStream, pts: int) -> None:
    try:
        container.seek(pts, stream=stream)
    except av.FFmpegError:
        raise _Elsewhere from None
