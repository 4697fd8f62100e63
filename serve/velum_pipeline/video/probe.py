"""What a file holds, by one pass over its packets. Its first frames are decoded; others where packets tell too little.

Order matters: type by bytes, then structure (truncated?), then the announced size against the limit, and only then a
decoder, which is told to allocate no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from velum_pipeline.errors import CorruptMedia, EmptyMedia, TooManyPixels, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.kinds import AVI, MOV, MP4, SNIFF_BYTES, MediaType, sniff
from velum_pipeline.video import formats, losses
from velum_pipeline.video.description import Colour, Video, turned
from velum_pipeline.video.looks import Look, drained, look
from velum_pipeline.video.opening import decodable, decode_strictly, is_cover, opened, packets, video_stream
from velum_pipeline.video.partpackets import LONGEST
from velum_pipeline.video.source import Opener
from velum_pipeline.video.structure import require_whole
from velum_pipeline.video.timestamps import Packets, Timeline, counted, timeline

FIELD_ORDERS = {0: "progressive", 1: "progressive", 2: "tt", 3: "bb", 4: "bb", 5: "tt"}
"""AVFieldOrder by the field that is shown first; 4 is coded top first and shown bottom first, 5 the other way round."""
USUAL_RATE = Fraction(25)
"""Where neither the container nor the frames tell any."""
UNSPECIFIED = 2
"""Of colours (ITU-T H.273)."""
MAX_SIDE = 2**16
"""Pixels; no coding of video goes further."""
READS_HEADERS = ("h264", "mjpeg")
"""Decoders that tell the size of frames that they are told to skip, and allocate none."""
ANY_PIXELS = 2**31 - 1


@dataclass(frozen=True)
class VideoLimits:
    """frame_pixels: of one frame. rate: frames per second, on average. frames: of the whole video."""

    frame_pixels: int = 36_000_000
    rate: int = 1000
    frames: int = 10_000_000


def probe(opener: Opener, limits: VideoLimits = VideoLimits()) -> Video:
    """What the video in a file is. Raises MediaError, always before any large frame is decoded."""
    pixels = decodable(limits.frame_pixels)
    with closing(opener()) as file:
        media_type = _video_type(file.read(SNIFF_BYTES))
        require_whole(media_type, file)
    with opened(opener, media_type, pixels) as container:
        stream = video_stream(container)
        _require_decodable(stream, limits, lambda: _announced(opener, media_type, stream.codec_context.name))
        left_out = _left_out(container, stream)
        announced = losses.announced(media_type, stream)
        found = _pass(container, stream, limits)
        if media_type in (MP4, MOV) and len(found) < stream.frames:
            raise TruncatedMedia(f"the file announces {stream.frames} frames, {len(found)} can be read")
        if not len(found):
            raise EmptyMedia("the video stream has no frames")
        codec, time_base = stream.codec_context.name, Fraction(stream.time_base or 0)
        told = _Told(stream)
    if time_base <= 0:
        raise UnsupportedMedia(f"a {codec} video whose clock has no unit is not supported")
    step = max(1, round(1 / (told.rate or USUAL_RATE) / time_base))
    with opened(opener, media_type, pixels) as container:
        seen = look(container, video_stream(container), pixels, everything=media_type == AVI and not found.all_keys())
    times, broken = timeline(found, step), list[int]()
    by_count = times is None or not _agree(seen, times)
    if times is None or by_count:
        shown = _shown(opener, media_type, pixels, broken)
        if media_type == AVI:  # the places of the order of decoding, so only out of order
            given = list(shown)
            places = sorted(pts for pts, _ in given if pts is not None)
            shown = iter(zip(places, (key for _, key in given), strict=False))
        times = counted(shown, step, round(1 / time_base))
    _require_sane(told, seen, times, time_base, limits)
    return Video(
        media_type=media_type,
        stream=told.index,
        codec=told.codec,
        width=told.width,
        height=told.height,
        turn=turned(seen.matrix),
        source_format=seen.source_format,
        pixel_format=formats.worked_on(seen.source_format, told.width, told.height),
        time_base=time_base,
        rate=_rate(told, times, time_base, limits),
        aspect=told.aspect,
        colour=formats.stated(seen.source_format, _both(told.colour, seen.colour), told.height),
        field_order=_field_order(told, seen),
        hdr=seen.hdr,
        pts=times.pts,
        end=times.end,
        keys=times.keys,
        size=found.size,
        counted=by_count,
        left_out=left_out,
        lost=losses.lost(opener, media_type, pixels, told.index, found, times, announced, len(broken)),
    )


class _Told:
    """What the container says of a stream, taken out of it before it is closed."""

    def __init__(self, stream: VideoStream) -> None:
        context = stream.codec_context
        self.index = stream.index
        self.codec = context.codec.canonical_name
        self.width, self.height = context.width, context.height
        self.rate = _positive(stream.average_rate) or _positive(stream.guessed_rate) or _positive(stream.base_rate)
        self.aspect = _positive(stream.sample_aspect_ratio) or Fraction(0)
        self.field_order = FIELD_ORDERS.get(context.field_order, "progressive")
        self.colour = Colour(context.color_range, context.color_primaries, context.color_trc, context.colorspace)


def _video_type(head: bytes) -> MediaType:
    if not head:
        raise EmptyMedia("the file is empty")
    found = sniff(head)
    if found is None:
        raise UnsupportedMedia("the bytes are no mp4, mov, mkv, webm, avi or ts video")
    if found.kind != "video":
        raise UnsupportedMedia(f"the file is a picture ({found.mime}), not a video")
    return found


def _require_decodable(stream: VideoStream, limits: VideoLimits, announced: Callable[[], tuple[int, int]]) -> None:
    context = stream.codec_context
    if context is None:
        raise UnsupportedMedia(f"video stream {stream.index} is coded in a way that is not known here")
    if stream.codec_tag == "encv":
        raise UnsupportedMedia(f"the {context.name} video is encrypted")
    width, height = (context.width, context.height) if context.width and context.height else announced()
    if width * height > limits.frame_pixels or max(width, height) > MAX_SIDE:
        size = f"{width} x {height}"
        raise TooManyPixels(f"the video announces frames of {size} pixels; the limit is {limits.frame_pixels}")
    if context.width <= 0 or context.height <= 0:
        raise CorruptMedia(f"the {context.name} video has no size, or one of more than {limits.frame_pixels} pixels")


def _announced(opener: Opener, media_type: MediaType, codec: str) -> tuple[int, int]:
    """Width and height where a decoder was not allowed to take them for its own; 0, 0 where they are not to be had."""
    ways = [{"codec_whitelist": "none"}, {"skip_frame": "all"}]  # what the container says, what the first frame says
    for more in ways[: 2 if codec in READS_HEADERS else 1]:
        with opened(opener, media_type, ANY_PIXELS, **more) as container:
            context = video_stream(container).codec_context
            if context.width * context.height:
                return context.width, context.height
    return 0, 0


def _left_out(container: InputContainer, chosen: VideoStream) -> tuple[str, ...]:
    words = []
    for stream in container.streams.video:
        if stream.index != chosen.index:
            name = stream.codec_context.name if stream.codec_context is not None else "unknown codec"
            kind = "cover picture" if is_cover(stream) else "further video"
            words.append(f"stream {stream.index}: {kind} ({name})")
    return tuple(words)


def _pass(container: InputContainer, stream: VideoStream, limits: VideoLimits) -> Packets:
    found, codec = Packets(), stream.codec_context.name
    for packet in packets(container, stream):
        if packet is None:
            continue
        found.add(packet, codec)
        if len(found) > limits.frames:
            raise UnsupportedMedia(f"the video has more than {limits.frames} frames")
    return found


def _agree(seen: Look, times: Timeline) -> bool:
    """Whether the first frames come out of the decoder as the packets said: in that order, all but broken ones."""
    shown = [pts for pts in seen.shown if pts is None or pts >= times.pts[0]]
    if not shown or None in shown:
        return False
    rows = np.searchsorted(times.pts, np.array(shown, np.int64))
    if rows[-1] >= len(times.pts) or times.pts[rows].tolist() != shown:
        return False
    steps = np.diff(rows)
    return bool((steps > 0).all() and (seen.errors > 0 or (steps == 1).all()))


def _shown(opener: Opener, media_type: MediaType, pixels: int, broken: list[int]) -> Iterator[tuple[int | None, bool]]:
    """Each frame's pts, as the decoder gives them out, and whether it is a key frame; where broken packets are."""
    with opened(opener, media_type, pixels) as container:
        stream = video_stream(container)
        decode_strictly(stream, pixels, threads=1)
        for packet in packets(container, stream):
            if packet is None:
                continue
            try:
                yield from ((frame.pts, frame.key_frame) for frame in packet.decode())
            except av.FFmpegError:
                broken.append(packet.pos or 0)
        yield from ((frame.pts, frame.key_frame) for frame in drained(stream))


def _require_sane(told: _Told, seen: Look, times: Timeline, time_base: Fraction, limits: VideoLimits) -> None:
    if (seen.width, seen.height) != (told.width, told.height):
        announced = f"{told.width} x {told.height}"
        raise UnsupportedMedia(
            f"the file announces {announced} pixels, its first frame has {seen.width} x {seen.height}"
        )
    frames = len(times.pts)
    if frames > limits.frames:
        raise UnsupportedMedia(f"the video has more than {limits.frames} frames")
    seconds = (times.end - int(times.pts[0])) * time_base
    if frames > 1 and frames > limits.rate * seconds:
        raise UnsupportedMedia(f"{frames} frames in {float(seconds):g} s are more than {limits.rate} per second")
    gaps = np.diff(times.pts)
    if len(gaps) and gaps.max() > LONGEST:
        hours = float(gaps.max() * time_base / 3600)
        raise UnsupportedMedia(
            f"between frames {gaps.argmax()} and {gaps.argmax() + 1} lie {hours:.0f} hours, more than mp4 holds"
        )


def _rate(told: _Told, times: Timeline, time_base: Fraction, limits: VideoLimits) -> Fraction:
    """What the container says, if that can be; else as many as there are in the time they take."""
    if told.rate is not None and told.rate <= limits.rate:
        return told.rate
    seconds = (times.end - int(times.pts[0])) * time_base
    return min(Fraction(limits.rate), (len(times.pts) / seconds).limit_denominator(1001))


def _both(told: Colour, seen: Colour) -> Colour:
    """The container's word, and the decoder's where the container is silent."""
    return Colour(
        told.range or seen.range,
        *(
            one if one != UNSPECIFIED else other
            for one, other in (
                (told.primaries, seen.primaries),
                (told.transfer, seen.transfer),
                (told.matrix, seen.matrix),
            )
        ),
    )


def _field_order(told: _Told, seen: Look) -> str:
    """Frames that are interlaced though the container knows no order are shown top field first, as most are."""
    return "tt" if seen.interlaced and told.field_order == "progressive" else told.field_order


def _positive(value: Fraction | None) -> Fraction | None:
    return Fraction(value) if value else None
