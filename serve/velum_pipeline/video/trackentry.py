"""The video track's entry in an mp4: what is said of it beside its packets.

PyAV lets most of it be set. What it does not, the mastering display and the light level of HDR and the projection of
panoramas, FFmpeg's muxer writes when the stream it is modelled on has them; so an empty file with such a stream is made
in memory, with more boxes in the stream's sample entry, and read back.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from velum_pipeline.errors import StageFailed
from velum_pipeline.video.description import Hdr, Video

LIMITED = 1
"""FFmpeg's AVCOL_RANGE_MPEG."""
SAMPLE_ENTRY_HEADER = 86
"""Bytes of a visual sample entry before its boxes (ISO/IEC 14496-12, 12.1.3)."""
STSD_HEADER = 16
"""Bytes of a sample description box before its first entry."""
PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
SAMPLE_ENTRIES = {"h264": "avc1", "hevc": "hvc1"}
"""Those that say that parameter sets are nowhere else, which is true; players by Apple read no other HEVC."""


def add_track(output: OutputContainer, part: VideoStream, video: Video, more: bytes = b"") -> VideoStream:
    """A stream for the packets of ``part``, that says all that ``video`` says. Raises StageFailed.

    more: boxes for the sample entry besides those of HDR.
    """
    boxes = more + (hdr_boxes(video.hdr) if video.hdr else b"")
    if boxes:
        with _modelled(part, boxes) as model:
            stream = output.add_stream_from_template(model.streams.video[0], opaque=True)
    else:
        stream = output.add_stream_from_template(part, opaque=True)
    stream.codec_context.extradata = _parameter_sets(part, video)
    if part.codec_context.name in SAMPLE_ENTRIES:
        stream.codec_context.codec_tag = SAMPLE_ENTRIES[part.codec_context.name]
    if video.turn.matrix is not None:
        stream.set_display_matrix(video.turn.matrix)
    stream.codec_context.framerate = video.rate  # by which the muxer counts a timecode's frames
    stream.time_base = video.time_base
    return stream


def _parameter_sets(part: VideoStream, video: Video) -> bytes | None:
    """The part's, with the range told: x264 leaves out the usual one, but who said so shall read it again."""
    if part.codec_context.name != "h264" or video.colour.range != LIMITED:
        return part.codec_context.extradata
    with av.open(io.BytesIO(), "w", format="mp4") as scratch:
        stream = scratch.add_stream_from_template(part, opaque=True)
        BitStreamFilterContext("h264_metadata=video_full_range_flag=0", in_stream=part, out_stream=stream)
        return stream.codec_context.extradata


def _modelled(part: VideoStream, boxes: bytes) -> InputContainer:
    """An mp4 without samples, whose stream is as ``part`` and has the boxes."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", container_options={"movflags": "empty_moov+default_base_moof"}) as empty:
        empty.add_stream_from_template(part, opaque=True)
        empty.start_encoding()
    return av.open(io.BytesIO(with_boxes(file.getvalue(), boxes)), "r", format="mov")


def with_boxes(data: bytes, boxes: bytes) -> bytes:
    """An mp4 of one track without samples, with more boxes at the end of its sample entry. Raises StageFailed."""
    grown, start, stop = bytearray(data), 0, len(data)
    for name in PATH:
        at, size = _find(data, name, start, stop)
        struct.pack_into(">I", grown, at, size + len(boxes))
        start, stop = at + 8, at + size
    entry = start + STSD_HEADER - 8
    size = int.from_bytes(data[entry : entry + 4], "big")
    struct.pack_into(">I", grown, entry, size + len(boxes))
    grown[entry + size : entry + size] = boxes
    return bytes(grown)


def _find(data: bytes, name: bytes, start: int, stop: int) -> tuple[int, int]:
    while start + 8 <= stop:
        size = int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] == name:
            return start, size
        start += max(size, 8)
    raise StageFailed(f"a video's track cannot be described: the muxer wrote no {name.decode()} box")


def hdr_boxes(hdr: Hdr) -> bytes:
    """mdcv and clli as ISO/IEC 14496-12 (12.1.6 and 12.1.7) has them: chromaticities in 1/50000, cd/m² in 1/10000."""
    boxes = b""
    if (told := hdr.mastering) is not None:
        points = (told.green, told.blue, told.red, told.white)
        chroma = [round(value * 50_000) for point in points for value in point or (Fraction(0), Fraction(0))]
        luminance = [round((value or 0) * 10_000) for value in (told.brightest, told.darkest)]
        boxes += _box(b"mdcv", struct.pack(">8H2I", *_within(chroma, 16), *_within(luminance, 32)))
    if (light := hdr.light) is not None:
        boxes += _box(b"clli", struct.pack(">2H", *_within((light.content, light.average), 16)))
    return boxes


def _within(values: Sequence[int], bits: int) -> list[int]:
    return [min(max(value, 0), 2**bits - 1) for value in values]


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
