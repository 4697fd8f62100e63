"""The streams beside the video: copied packet for packet, bit for bit, where mp4 can hold them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.subtitles.stream import SubtitleStream

from velum_pipeline.options import Gps
from velum_pipeline.video import subtitles, tags
from velum_pipeline.video.opening import MAX_FAILURES, is_end
from velum_pipeline.video.partpackets import LONGEST

COPIED = ("audio", "subtitle", "data")


class Copied:
    """What comes of the streams of ``source`` beside its video.

    left_out, converted: streams in words. Streams are added to ``output`` by ``add``, in the source's order. moved:
    seconds that are added to all times.
    """

    def __init__(self, source: InputContainer, output: OutputContainer, gps: Gps, moved: Fraction) -> None:
        self.left_out: list[str] = []
        self.converted: list[str] = []
        self._source, self._output, self._gps, self._moved = source, output, gps, moved
        self._tracks: dict[int, _Track] = {}

    def add(self, stream: Stream) -> None:
        """Make a track for a stream that is no video, or say that it is left out."""
        if stream.discard == Discard.all and stream.type in ("data", "subtitle"):
            return  # the chapters' names, which QuickTime keeps as a track: they come with the chapters
        if stream.type == "data" and "timecode" in stream.metadata:
            return  # the muxer makes this track anew, from the video's tag of that name
        if stream.type not in COPIED:
            self._leave(stream, f"mp4 holds no {stream.type} streams")
        elif stream.type == "data" and self._gps is Gps.STRIP:
            self._leave(stream, "it may tell where the video was taken")
        elif isinstance(stream, SubtitleStream) and subtitles.is_text(stream):
            converter = subtitles.Converter(self._output, stream)
            self._take(stream, converter.stream, converter)
            self.converted.append(f"{_words(stream)} to mov_text")
        elif not carries(stream):
            self._leave(stream, "mp4 cannot hold it")
        elif is_damaged(stream):
            self._leave(stream, "its header is damaged")
        else:
            self._take(stream, self._output.add_stream_from_template(stream), None)

    def packets(self) -> Iterator[Packet[Stream]]:
        """The packets of all tracks, in the file's order; call it when the output's header is written."""
        streams = [self._source.streams[index] for index in self._tracks]
        places = 0
        for packet in _demuxed(self._source, streams):
            if self._gps is Gps.STRIP and _tells_place(packet):
                places += 1
            else:
                yield from self._tracks[packet.stream_index].packets(packet)
        if places:
            self.left_out.append(f"{places} lines of subtitles that tell a place")

    def _take(self, stream: Stream, made: Stream, converter: subtitles.Converter | None) -> None:
        made.metadata.clear()
        made.metadata.update(tags.kept(stream.metadata, self._gps))
        made.disposition = stream.disposition
        self._tracks[stream.index] = _Track(made, converter, self._moved)

    def _leave(self, stream: Stream, reason: str) -> None:
        stream.discard = Discard.all
        self.left_out.append(f"{_words(stream)}: {reason}")


class _Track:
    def __init__(self, stream: Stream, converter: subtitles.Converter | None, moved: Fraction) -> None:
        self._stream = stream
        self._moved = moved
        self._converter = converter
        self._last: int | None = None

    def packets(self, packet: Packet[Stream]) -> Iterator[Packet[Stream]]:
        """The track's packets for one of the source's, timed in the track's time base."""
        for made in self._converter.packets(packet) if self._converter else (packet,):
            self._time(made)
            made.stream = self._stream
            yield made

    def _time(self, packet: Packet[Stream]) -> None:
        """Set times that rise, which a muxer insists on: rounding, and careless writers, can make two the same."""
        base = self._stream.time_base or packet.time_base
        scale, moved = packet.time_base / base, self._moved / base
        dts, pts = (None if each is None else round(each * scale + moved) for each in (packet.dts, packet.pts))
        least = None if self._last is None else self._last + 1
        if dts is None:
            dts = pts if pts is not None else least or 0
        self._last = dts if least is None else max(dts, least)
        packet.duration = min(max(round((packet.duration or 0) * scale), 0), LONGEST)
        packet.time_base = base
        packet.dts = self._last
        packet.pts = max(self._last, self._last if pts is None else pts)


def carries(stream: Stream) -> bool:
    """Whether an mp4 can hold the stream as it is: FFmpeg's muxer is asked to begin one with it."""
    try:
        _begin(stream)
    except (av.FFmpegError, ValueError):
        return False
    return True


def is_damaged(stream: Stream) -> bool:
    """Whether its decoder's header makes no sense, of a stream that mp4 carries.

    The muxer finds out when it writes its index, so when all else is done: it is asked to begin with that.
    """
    try:
        _begin(stream, movflags="empty_moov")
    except av.InvalidDataError:
        return True
    except (av.FFmpegError, ValueError):
        return False  # of AC-3 for one it has to see packets first
    return False


def _begin(stream: Stream, **options: str) -> None:
    with av.open(io.BytesIO(), "w", format="mp4", container_options=options) as trial:
        trial.add_stream_from_template(stream)
        trial.start_encoding()


def _demuxed(source: InputContainer, streams: list[Stream]) -> Iterator[Packet[Stream]]:
    """Packets of the streams; where the demuxer loses its way, what comes behind."""
    failures = 0
    while streams and failures < MAX_FAILURES:
        try:
            for packet in source.demux(streams):
                if is_end(packet):
                    return
                failures = 0
                yield packet
        except av.FFmpegError:
            failures += 1
        else:
            return


def _tells_place(packet: Packet[Stream]) -> bool:
    return packet.stream.type == "subtitle" and tags.tells_place(bytes(packet).decode(errors="replace"))


def seconds(packet: Packet[Stream]) -> Fraction:
    """When a packet is decoded."""
    return (packet.dts or 0) * packet.time_base


def _words(stream: Stream) -> str:
    context = getattr(stream, "codec_context", None)
    name = context.codec.canonical_name if context is not None else getattr(stream, "name", None)
    return f"stream {stream.index} ({stream.type}{f', {name}' if name else ''})"
