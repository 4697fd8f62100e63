"""Text subtitles as mp4 has them: the same words at the same times, in 3GPP timed text (``mov_text``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream

PLAIN = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""One style, in the form of Advanced SubStation Alpha in which FFmpeg hands subtitles from decoders to encoders."""
TEXTS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "text"})
"""FFmpeg's names of what is converted; pictures of text are not."""


def is_text(stream: Stream) -> bool:
    """Whether a subtitle stream can be converted."""
    return (
        isinstance(stream, SubtitleStream) and stream.codec_context is not None and stream.codec_context.name in TEXTS
    )


class Converter:
    """One stream's packets, converted as they come."""

    def __init__(self, output: OutputContainer, source: SubtitleStream) -> None:
        self._decoder: SubtitleCodecContext = source.codec_context
        self._decoder.open(strict=False)
        self.stream = output.add_stream("mov_text")
        self._encoder: SubtitleCodecContext = self.stream.codec_context
        self._encoder.subtitle_header = _styles(self._decoder.subtitle_header)
        if source.time_base:
            self.stream.time_base = source.time_base

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """What becomes of a packet: one, or none where it has no text. Words that cannot be read are left out."""
        try:
            found = self._decoder.decode2(cast("Packet[SubtitleStream]", packet))
            made = None if found is None else self._encoder.encode_subtitle(found)
        except av.FFmpegError:
            return
        if made is not None and made.size:
            made.pts = made.dts = packet.pts
            made.duration = packet.duration
            made.time_base = packet.time_base
            yield made


def _styles(header: bytes | None) -> bytes:
    """The decoder's styles if the encoder can read them, else a plain one."""
    trial = av.CodecContext.create("mov_text", "w")
    try:
        trial.subtitle_header = header
        trial.open()
    except av.FFmpegError:
        return PLAIN.encode()
    return header or PLAIN.encode()
