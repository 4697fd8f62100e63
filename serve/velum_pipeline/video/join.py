"""Puts segments together to one mp4, with everything else that the source has.

The video's packets come from the segments' files, one after the other; audio, subtitles and data from one pass over the
source, in order of time between them. Nothing is held but a few seconds of packets and the muxer's table of them. The
file is written beside its target, gets its index moved to the front, so that players can begin at once, and only then
its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from velum_pipeline.errors import StageFailed
from velum_pipeline.media.kinds import MOV, MP4, MPEG_TS
from velum_pipeline.options import Gps
from velum_pipeline.video import partpackets, spherical, tags, trackentry
from velum_pipeline.video.copied import Copied, seconds
from velum_pipeline.video.description import Video
from velum_pipeline.video.opening import decodable, known_stream, opened
from velum_pipeline.video.source import Opener

FINEST = 100_000_000
"""Units of a second in which a file's starts are told at most; fine enough for 1/15360 with 44100 and 48000 Hz."""
FFMPEGS_OWN = 2**16
"""Errors of the system, of the disk for one, have smaller numbers."""
LATEST_START = 60
"""Seconds after which a transport stream may begin; what begins later has a clock that means nothing."""


@dataclass(frozen=True)
class Joined:
    """What came of a join.

    frames: of the video. left_out: streams and tags that the file does not have, in words. converted: streams that are
    there in another form, in words. moved: seconds that were added to all times.
    """

    frames: int
    left_out: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    moved: Fraction = Fraction(0)


def join(
    opener: Opener, video: Video, parts: Sequence[Path], target: Path, *, gps: Gps = Gps.KEEP, skipped: int = 0
) -> Joined:
    """Write ``target`` from the segments' files, in order, and the source. It is there whole or not at all.

    skipped: how many of the video's frames are in no part, because they did not decode. gps ``strip``: no tags and no
    data tracks that may tell where the video was taken.

    Raises StageFailed when the parts do not fit the video or each other, or the file cannot be written; CorruptMedia
    when the source is not the file that ``video`` tells of.
    """
    checked = partpackets.check(video, parts, skipped)
    partial = target.with_name(f".{target.name}.partial")
    try:
        with opened(opener, video.media_type, decodable(video.width * video.height)) as source:
            sphere = spherical.boxes(opener, video, known_stream(source, video.stream).id)
            joined = _written(source, video, checked, partial, gps, sphere)
        partial.replace(target)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise StageFailed(f"the video cannot be put together: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return joined


def _written(
    source: InputContainer, video: Video, checked: partpackets.Checked, path: Path, gps: Gps, sphere: bytes
) -> Joined:
    wanted = tags.kept(source.metadata, gps)
    end, moved = _end(source.streams[video.stream], video), _moved(source, video)
    with (
        av.open(str(checked.parts[0]), format="nut") as first,
        av.open(str(path), "w", format="mp4", container_options=_settings(source, video, wanted)) as output,
    ):
        copied = Copied(source, output, gps, moved)
        for stream in source.streams:
            if stream.index == video.stream:
                track: Stream = trackentry.add_track(output, first.streams.video[0], video, sphere)
                track.metadata.clear()
                track.metadata.update(tags.kept(stream.metadata, gps))
                track.disposition = stream.disposition
            elif stream.type != "video":
                copied.add(stream)
        for stream in source.streams.video:
            stream.discard = Discard.all  # what is copied is read; of the video, not a byte
        output.metadata.update(wanted)
        output.set_chapters(tags.chapters(source.chapters(), gps, moved))
        output.start_encoding()
        packets = partpackets.packets(video, checked, end, int(moved / video.time_base))
        lost = _muxed(output, interleaved(_timed(packets, track), copied.packets()))
    _require_whole(path, checked.frames)
    gone = [f"{lost} packets that are damaged"] if lost else []
    gone += [f"tag {key}" for key in tags.dropped(source.metadata, gps)]
    return Joined(checked.frames, (*copied.left_out, *gone), tuple(copied.converted), moved)


def _muxed(output: OutputContainer, packets: Iterator[Packet[Stream]]) -> int:
    """Write packets. Returns how many the muxer refused: of sound it reads headers, and broadcasts have broken ones.

    An error can be that of a packet that waited for the others' time, so it is not known whose it is: that all frames
    of the video are there is looked at afterwards.
    """
    refused = 0
    for packet in packets:
        try:
            output.mux_one(packet)
        except av.FFmpegError as error:
            if (error.errno or 0) < FFMPEGS_OWN and not isinstance(error, av.ArgumentError):
                raise
            refused += 1
    return refused


def _require_whole(path: Path, frames: int) -> None:
    with av.open(str(path), "r", format="mov") as written:
        found = written.streams.video[0].frames
    if found != frames:
        raise StageFailed(f"the video that was put together has {found} frames of {frames}")


def _end(stream: Stream, video: Video) -> int:
    """When the last frame ends: an edit may cut it short, which its packets do not tell."""
    if video.media_type in (MP4, MOV) and stream.duration and stream.time_base == video.time_base:
        end = (stream.start_time or 0) + stream.duration
        if end > int(video.pts[-1]):
            return end
    return video.end


def _moved(source: InputContainer, video: Video) -> Fraction:
    """Seconds to add to all times: to bring a first frame before 0 to 0, or a broadcast's clock.

    mp4 shows nothing that is before 0. The clock of a transport stream counts 26 hours from anywhere; in mp4 it would
    become hours of nothing before the first frame.
    """
    first = int(video.pts[0]) * video.time_base
    starts = [each.start_time * each.time_base for each in source.streams if each.start_time and each.time_base]
    earliest = min([first, *starts])
    if first < 0 or (video.media_type == MPEG_TS and earliest > LATEST_START):
        return -(earliest // video.time_base) * video.time_base
    return Fraction(0)


def _settings(source: InputContainer, video: Video, wanted: dict[str, str]) -> dict[str, str]:
    """The muxer's options. A track's start is told in the file's unit of time, so that has to be fine enough."""
    units = {video.time_base.denominator, *(stream.rate for stream in source.streams.audio if stream.codec_context)}
    finest = lcm(*(unit for unit in units if unit))
    flags = "+faststart" + ("+use_metadata_tags" if tags.need_keys(wanted) else "")
    return {
        "movflags": flags,
        "strict": "unofficial",  # or a panorama's projection is not written
        "video_track_timescale": str(video.time_base.denominator),
        "movie_timescale": str(finest if finest <= FINEST else video.time_base.denominator),
    }


def _timed(packets: Iterator[Packet[VideoStream]], track: Stream) -> Iterator[Packet[Stream]]:
    for packet in packets:
        moved = cast("Packet[Stream]", packet)
        moved.stream = track
        yield moved


def interleaved(video: Iterator[Packet[Stream]], others: Iterator[Packet[Stream]]) -> Iterator[Packet[Stream]]:
    """Both in order of decoding; each iterator's own order stays."""
    waiting = next(video, None)
    for packet in others:
        while waiting is not None and seconds(waiting) <= seconds(packet):
            yield waiting
            waiting = next(video, None)
        yield packet
    while waiting is not None:
        yield waiting
        waiting = next(video, None)
