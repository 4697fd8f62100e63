"""What only a decoder knows of a video: its samples' format, and what lies beside them in each frame."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.video.description import Colour, Hdr, Light, Mastering
from velum_pipeline.video.opening import decode_strictly, packets

FIRST_PACKETS = 300
"""Within so many there is a key frame that decodes, or there is none worth looking for."""
COMPARED = 24
"""Frames that are compared with what the packets said of them."""
MASTERING = struct.Struct("=20i2i")
"""AVMasteringDisplayMetadata: ten fractions (red, green, blue, white as x and y; darkest, brightest), two flags."""
LIGHT = struct.Struct("=2I")
"""AVContentLightMetadata."""
MATRIX = struct.Struct("=9i")


@dataclass(frozen=True)
class Look:
    """source_format: FFmpeg's name. matrix: the display matrix. shown: the first frames' pts. errors: on the way."""

    source_format: str
    width: int
    height: int
    interlaced: bool
    colour: Colour
    hdr: Hdr | None
    matrix: tuple[int, ...] | None
    shown: tuple[int | None, ...]
    errors: int


def look(container: InputContainer, stream: VideoStream, pixels: int, *, everything: bool) -> Look:
    """The first frames that decode, or all of them, from the container's present place.

    pixels: of the largest frame that may be allocated. Raises CorruptMedia, UnsupportedMedia.
    """
    decode_strictly(stream, pixels, threads=1)
    first: av.VideoFrame | None = None
    shown: list[int | None] = []
    errors = 0
    for frame in _frames(container, stream):
        if frame is None or frame.is_corrupt:
            errors += 1
            continue
        first = first or frame
        shown.append(frame.pts)
        if len(shown) == COMPARED and not everything:
            break
    if first is None:
        raise CorruptMedia(f"no frame of the {stream.codec_context.name} video decodes")
    side = {data.type: bytes(data) for data in cast(Iterable[Any], first.side_data)}
    matrix = side.get(Type.DISPLAYMATRIX)
    return Look(
        source_format=first.format.name,
        width=first.width,
        height=first.height,
        interlaced=first.interlaced_frame,
        colour=Colour(first.color_range, first.color_primaries, first.color_trc, first.colorspace),
        hdr=hdr(side.get(Type.MASTERING_DISPLAY_METADATA), side.get(Type.CONTENT_LIGHT_LEVEL)),
        matrix=MATRIX.unpack_from(matrix) if matrix and len(matrix) >= MATRIX.size else None,
        shown=tuple(shown),
        errors=errors,
    )


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame | None]:
    for number, packet in enumerate(packets(container, stream)):
        if packet is None:
            yield None
            continue
        if packet.has_sidedata("encryption_info"):
            raise UnsupportedMedia(f"the {stream.codec_context.name} video is encrypted")
        try:
            yield from packet.decode()
        except av.FFmpegError:
            yield None
            if number == FIRST_PACKETS:
                return
    yield from drained(stream)


def drained(stream: VideoStream) -> list[av.VideoFrame]:
    """The frames that a decoder still holds at the end."""
    try:
        return stream.codec_context.decode(None)
    except av.FFmpegError:
        return []


def hdr(mastering: bytes | None, light: bytes | None) -> Hdr | None:
    """FFmpeg's side data as values; None where there is neither."""
    if not mastering and not light:
        return None
    return Hdr(_mastering(mastering) if mastering else None, Light(*LIGHT.unpack_from(light)) if light else None)


def _mastering(data: bytes) -> Mastering:
    numbers = MASTERING.unpack_from(data)
    values = [
        Fraction(above, below) if below else Fraction(0)
        for above, below in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    has_primaries, has_luminance = numbers[20:]
    red, green, blue, white = zip(values[:8:2], values[1:8:2], strict=True)
    made = Mastering(red, green, blue, white) if has_primaries else Mastering()
    return replace(made, darkest=values[8], brightest=values[9]) if has_luminance else made
