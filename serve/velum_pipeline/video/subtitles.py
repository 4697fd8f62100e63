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
        self._encoder.subtitle_header = self._decoder.subtitle_header
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
