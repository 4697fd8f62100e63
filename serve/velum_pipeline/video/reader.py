"""Any part of a video as frames, the same frames whichever part was asked for.

Decoding begins at a key frame at or before the first frame wanted, and it is looked whether the seek really landed
there; else one goes further back, in the end to the file's start. Leading pictures, which refer to frames before the
key frame that they follow, are only decoded from further back.

Nothing that was predicted from what is broken comes out: after a packet that is damaged or does not decode, frames are
left away until the next key frame. So what a frame looks like depends on the packets since its key frame and on nothing
before them. No frame is made up: a decoder that conceals an error reports it, and its frame is not used. Damage that
a decoder does not notice (those of HEVC, VP8 and VP9 miss some) comes out as in a player, to be looked at and hidden
like any picture.

A decoder of several threads says too late what was broken, and goes on with what it should forget. At the first sign of
trouble its work is thrown away, and a decoder of one thread goes on from the last key frame but one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from velum_pipeline.errors import UnsupportedMedia
from velum_pipeline.video.description import Video
from velum_pipeline.video.formats import Conversion
from velum_pipeline.video.looks import drained
from velum_pipeline.video.opening import decodable, decode_strictly, known_stream, opened, packets
from velum_pipeline.video.source import Opener

EARLIER_SECONDS = (0, 2, 20)
"""How far before its key frame a seek aims, one try after the other."""


@dataclass(frozen=True)
class Decoded:
    """A frame in the video's pixel format, as stored (not turned), its pts set.

    A decoder may still refer to it: who writes into it calls ``make_writable`` before, which copies what is held by
    somebody else and nothing where, as mostly some frames later, nobody does.
    """

    ordinal: int
    frame: av.VideoFrame


class _Elsewhere(Exception):
    """The seek did not land where decoding is to begin."""


class _Trouble(Exception):
    """Something is broken, or looks as if it were to a decoder that has not seen what came before."""


def decoded(opener: Opener, video: Video, first: int, stop: int, *, threads: int = 0) -> Iterator[Decoded]:
    """The frames with ordinals from ``first`` to before ``stop``, in order. Those that do not decode are missing.

    threads: of the decoder; 0 for as many as there are cores. Closing the iterator early closes the file.
    Raises UnsupportedMedia naming the frame where the picture's size or format changes.
    """
    if not 0 <= first <= stop <= video.frames:
        raise ValueError(f"frames {first} to {stop} of {video.frames}")
    convert, wanted = Conversion(video), first
    for ordinal, frame in _from(opener, video, first, stop, threads):
        if ordinal >= wanted:
            wanted = ordinal + 1
            yield Decoded(ordinal, _stamped(convert(frame), video, ordinal))


def _from(opener: Opener, video: Video, first: int, stop: int, threads: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """The same and frames before them, some of them twice."""
    if first == stop:
        return
    reached = first
    if not video.counted:
        try:
            for ordinal, frame in _landed(opener, video, _Way(_key(video, first), strict=True, threads=threads), stop):
                reached = max(reached, ordinal)
                yield ordinal, frame
        except _Trouble:
            pass
        else:
            return
    before = 0 if video.counted else _key(video, max(_key(video, reached) - 1, 0))
    yield from _landed(opener, video, _Way(before, strict=False, threads=1), stop)


def _landed(opener: Opener, video: Video, way: _Way, stop: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """One decoding; its seek is repeated from further back until it lands where it should."""
    for earlier in EARLIER_SECONDS if way.key else ():
        try:
            yield from _Pass(opener, video, replace(way, earlier=earlier)).frames(stop)
        except _Elsewhere:
            continue
        return
    yield from _Pass(opener, video, replace(way, key=0)).frames(stop)


def _key(video: Video, ordinal: int) -> int:
    """The key frame at or before a frame."""
    return int(video.keys[np.searchsorted(video.keys, ordinal, "right") - 1])


def _stamped(frame: av.VideoFrame, video: Video, ordinal: int) -> av.VideoFrame:
    frame.time_base, frame.pts = video.time_base, int(video.pts[ordinal])
    return frame


@dataclass(frozen=True)
class _Way:
    """How to decode: from key frame ``key`` on, with a seek that aims ``earlier`` seconds before it; 0: without a seek.

    strict: give up at the first sign of trouble; else leave away what it concerns.
    """

    key: int
    strict: bool
    threads: int
    earlier: int = 0


@dataclass(frozen=True)
class _Broken:
    """A packet that does not decode: the pts of the key frame it follows, and whether it is shown before that."""

    key: int | None
    leading: bool


class _Pass:
    """One decoding."""

    def __init__(self, opener: Opener, video: Video, way: _Way) -> None:
        self._opener = opener
        self._video = video
        self._way = way
        self._sound = way.key == 0  # what came out so far can be referred to
        self._hurt = False
        self._shown: int | None = None  # the last key frame that came out
        self._spoilt: set[int | None] = set()  # key frames whose successors are broken

    def frames(self, stop: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """Ordinals and frames that may be used, in order, up to before ``stop``. Raises _Elsewhere, _Trouble."""
        video, expected, first = self._video, self._way.key, True
        for each in self._outputs():
            if isinstance(each, _Broken):
                self._note(each)
                continue
            ordinal = expected if video.counted else self._ordinal(each)
            if ordinal is None or ordinal < expected:
                continue
            key = each.key_frame and _key(video, ordinal) == ordinal
            if first and not (key and ordinal == expected) and self._way.key and not self._hurt:
                raise _Elsewhere
            if self._way.strict and (each.is_corrupt or ordinal > expected):
                raise _Trouble
            if ordinal >= stop:
                return
            self._require_same(each, ordinal)
            self._sound = not each.is_corrupt and (key or (self._sound and ordinal == expected))
            expected, first = ordinal + 1, False
            pts = each.pts
            if self._sound:
                yield ordinal, each
            if key:
                self._shown = pts
                self._sound = self._sound and pts not in self._spoilt
        if self._way.strict and expected < stop:
            raise _Trouble

    def _note(self, broken: _Broken) -> None:
        if self._way.strict:
            raise _Trouble
        self._hurt = True
        if broken.leading or broken.key is None or broken.key == self._shown:
            self._sound = False
        else:
            self._spoilt.add(broken.key)

    def _outputs(self) -> Iterator[av.VideoFrame | _Broken]:
        """What the decoder gives out, and what it does not decode."""
        video, key = self._video, None
        pixels = decodable(video.width * video.height)
        with opened(self._opener, video.media_type, pixels) as container:
            stream = known_stream(container, video.stream)
            decode_strictly(stream, pixels, self._way.threads)
            for packet in packets(container, stream) if video.counted else self._sent(container, stream):
                if packet is None or packet.is_corrupt:
                    yield _Broken(None, leading=False)
                if packet is None:
                    continue
                key = packet.pts if packet.is_keyframe else key
                try:
                    yield from stream.codec_context.decode(packet)
                except av.FFmpegError:
                    yield _Broken(key, leading=packet.pts is not None and key is not None and packet.pts < key)
            yield from drained(stream)

    def _sent(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
        """The packets from the start on, without those that refer to what is not there."""
        video, way = self._video, self._way
        wanted = int(video.pts[way.key]) if way.key else None
        if wanted is not None:
            _seek(container, stream, wanted - round(way.earlier / video.time_base))
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

    def _require_same(self, frame: av.VideoFrame, ordinal: int) -> None:
        video = self._video
        if (frame.width, frame.height) != (video.width, video.height):
            now, before = f"{frame.width} x {frame.height}", f"{video.width} x {video.height}"
            raise UnsupportedMedia(f"from frame {ordinal} on the video has {now} instead of {before} pixels")
        if frame.format.name != video.source_format:
            now, before = frame.format.name, video.source_format
            raise UnsupportedMedia(f"from frame {ordinal} on the video's samples are {now} instead of {before}")


def _seek(container: InputContainer, stream: VideoStream, pts: int) -> None:
    try:
        container.seek(pts, stream=stream)
    except av.FFmpegError:
        raise _Elsewhere from None
