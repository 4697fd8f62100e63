"""Opens a container with FFmpeg: only as the format that its bytes are, and never anything beside it.

A playlist, or a container that refers to other files, could make FFmpeg open any path or address on this machine. So
the demuxer is named, not guessed, reads from a file object, and is given no way to open another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NoReturn, cast

import av
from av.container import InputContainer
from av.container.core import Flags
from av.packet import Packet
from av.video.stream import VideoStream

from velum_pipeline.errors import CorruptMedia, EmptyMedia, UnsupportedMedia
from velum_pipeline.media.kinds import AVI, MATROSKA, MOV, MP4, MPEG_TS, WEBM, MediaType
from velum_pipeline.video.source import Opener

DEMUXERS = {MP4: "mov", MOV: "mov", MATROSKA: "matroska", WEBM: "matroska", AVI: "avi", MPEG_TS: "mpegts"}
"""FFmpeg's names."""
BUFFER_BYTES = 2**18
"""Read at a time: a call of Python for each, and for storage maybe a request."""
GUESS_TIMESTAMPS = cast(int, Flags.gen_pts.value)
"""PyAV lets FFmpeg make up missing timestamps, from ones that follow; with B-frames they are wrong."""
MAX_FAILURES = 1000
"""Errors in a row after which a demuxer is believed not to find its way back."""


@contextmanager
def opened(opener: Opener, media_type: MediaType, frame_pixels: int, **more: str) -> Iterator[InputContainer]:
    """The container; closed with its file when the block ends.

    frame_pixels: no decoder may allocate larger frames, also not while the streams are being looked at. more: further
    options of FFmpeg for then.
    Raises UnsupportedMedia, EmptyMedia, CorruptMedia.
    """
    with closing(opener()) as file:
        try:
            container = av.open(
                file,
                "r",
                format=DEMUXERS[media_type],
                options={"max_pixels": str(frame_pixels), **more},
                buffer_size=BUFFER_BYTES,
                io_open=_refused,
                metadata_errors="replace",
            )
        except av.EOFError:
            raise EmptyMedia(f"the {media_type.name} file ends before its first frame") from None
        except av.FFmpegError as error:
            raise CorruptMedia(f"the {media_type.name} container cannot be read: {error.strerror}") from None
        with container:
            container.flags &= ~GUESS_TIMESTAMPS
            yield container


def video_stream(container: InputContainer) -> VideoStream:
    """The stream that is worked on: the one marked as default, else the first. Raises UnsupportedMedia."""
    moving = [stream for stream in container.streams.video if not is_cover(stream)]
    if not moving:
        raise UnsupportedMedia(
            "the file holds no video stream" + (", only a picture" if container.streams.video else "")
        )
    default = av.stream.Disposition.default
    return next((stream for stream in moving if stream.disposition & default), moving[0])


def known_stream(container: InputContainer, index: int) -> VideoStream:
    """The video stream that was found there before. Raises CorruptMedia where there is none now."""
    stream = container.streams[index] if index < len(container.streams) else None
    if not isinstance(stream, VideoStream):
        raise CorruptMedia("the file is not the one that was looked at: its video stream is gone")
    return stream


def is_cover(stream: VideoStream) -> bool:
    """Whether it is a picture for a list of files, or thumbnails, and not the video."""
    pictures = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    return bool(stream.disposition & pictures)


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """The stream's packets in the order of decoding; None where the demuxer lost its way and went on behind.

    In an AVI nothing says when a frame is shown, only its place in the file; that is given as pts, and is right where
    frames are decoded in the order in which they are shown.
    """
    failures, placed = 0, container.format.name == DEMUXERS[AVI]
    while failures < MAX_FAILURES:
        try:
            for packet in container.demux(stream):
                if is_end(packet):
                    return
                failures = 0
                if placed:
                    packet.pts = packet.dts
                yield packet
        except av.FFmpegError:
            failures += 1
            yield None
        else:
            return


def is_end(packet: Packet[Any]) -> bool:
    """Whether a packet is PyAV's own, which would flush a decoder: nothing comes behind it.

    Nothing should be asked for either: PyAV makes one for each stream, and fails at those that came up on the way.
    """
    return packet.size == 0 and packet.dts is None and packet.pts is None


def decodable(pixels: int) -> int:
    """Pixels of the largest frame that a decoder may allocate: in some codecs it reaches past what is shown."""
    return pixels + pixels // 4 + 2**20


def decode_strictly(stream: VideoStream, frame_pixels: int, threads: int) -> None:
    """Set up the stream's decoder: what does not decode is an error, not a guess. threads: 0 for one per core."""
    context = stream.codec_context
    context.thread_count = threads
    context.thread_type = "AUTO"
    context.options = {"err_detect": "crccheck+explode", "max_pixels": str(frame_pixels)}


def _refused(url: str, flags: int, options: dict[str, str]) -> NoReturn:  # noqa: ARG001 -- FFmpeg's shape
    raise UnsupportedMedia(f"the file refers to another one ({os.path.basename(url)}), which is not followed")
