"""What a video says of itself, for comparison: by ffprobe where it is installed, else by the product's own probe."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from velum_pipeline.video.description import Hdr, Video
from velum_pipeline.video.probe import probe
from velum_pipeline.video.source import Opener

UNKNOWN = {"unknown", "unspecified", "reserved", "", "N/A", "0:1", None}
NAMES_OF_FULL = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
"""FFmpeg's old names of formats of full range; the range is told beside them as well."""
ADTS = 0xFFF
"""The first twelve bits of AAC packets that carry their own header, which mp4 holds once for all."""


@dataclass(frozen=True)
class Beside:
    """A stream beside the video. packets: SHA-256 of each, without what mp4 keeps elsewhere. starts: seconds."""

    kind: str
    codec: str
    language: str
    roles: int
    packets: tuple[str, ...]
    starts: tuple[float, ...]


@dataclass(frozen=True)
class Facts:
    """Of a file. ``video``: what is said of its video stream, by name; None for what is not said. pts: seconds of each
    frame shown. chapters: start and end in seconds, title."""

    video: Mapping[str, object]
    pts: Sequence[Fraction]
    chapters: Sequence[tuple[float, float, str]]
    tags: Mapping[str, str]
    beside: Sequence[Beside] = field(default=())


def by_ffprobe() -> bool:
    """Whether ffprobe is installed."""
    return shutil.which("ffprobe") is not None


def reader(path: Path) -> Opener:
    """What the product reads a file by."""
    return lambda: path.open("rb")


def facts(path: Path) -> tuple[Facts, Video]:
    """What the file says, and what the product's probe says."""
    video = probe(reader(path))
    told, pts = _probed(video)
    if by_ffprobe():
        said, asked = _asked(path, video.stream)
        told = said | {name: told[name] for name in ("start", "duration") if said[name] is None}
        pts = pts if video.counted else asked  # an AVI with B-frames does not tell when they are shown
    with av.open(str(path), metadata_errors="replace") as container:
        chapters = [
            (float(each["start"] * unit), float(each["end"] * unit), each["metadata"].get("title", ""))
            for each in container.chapters()
            if (unit := each["time_base"])
        ]
        tags = dict(container.metadata)
    return Facts(told, pts, chapters, tags, beside(path)), video


def beside(path: Path) -> list[Beside]:
    """The audio, subtitle and data streams that hold packets, but for the chapters' track and timecodes."""
    with av.open(str(path), metadata_errors="replace") as container:
        streams = [
            stream
            for stream in container.streams
            if stream.type in ("audio", "subtitle", "data")
            and stream.discard != av.stream.Discard.all
            and not (stream.type == "data" and "timecode" in stream.metadata)
        ]
        hashes: dict[int, list[str]] = {stream.index: [] for stream in streams}
        starts: dict[int, list[float]] = {stream.index: [] for stream in streams}
        for packet in container.demux(streams) if streams else ():
            data = _payload(bytes(packet), packet.stream.type)
            if data:
                hashes[packet.stream_index].append(hashlib.sha256(data).hexdigest())
                starts[packet.stream_index].append(float((packet.pts or 0) * packet.time_base))
        return [
            Beside(
                stream.type,
                stream.codec_context.name if stream.codec_context else "",
                stream.metadata.get("language", "und"),
                int(stream.disposition) & ~int(av.stream.Disposition.default),
                tuple(hashes[stream.index]),
                tuple(starts[stream.index]),
            )
            for stream in streams
        ]


def _payload(data: bytes, kind: str) -> bytes:
    if kind == "audio" and len(data) > 7 and int.from_bytes(data[:2], "big") >> 4 == ADTS and not data[1] & 6:
        return data[7 if data[1] & 1 else 9 :]
    if kind == "subtitle" and data == b"\0\0":
        return b""  # mp4's way to show nothing for a while
    return data


def _asked(path: Path, index: int) -> tuple[dict[str, object], list[Fraction]]:
    """What ffprobe says of a video stream, and when each of its frames is shown."""
    found = _ffprobe(path, "-show_streams", "-select_streams", str(index))
    frames = _ffprobe(path, "-show_frames", "-select_streams", str(index), "-show_entries", "frame=pts")
    first = _ffprobe(path, "-show_frames", "-select_streams", str(index), "-read_intervals", "%+#2")["frames"]
    stream = found["streams"][0]
    base = Fraction(stream["time_base"])
    pts = [int(frame["pts"]) * base for frame in frames["frames"] if "pts" in frame]
    head: dict[str, Any] = next((frame for frame in first if frame.get("pict_type")), {})
    sides = {each["side_data_type"]: each for each in head.get("side_data_list", ())}
    sides |= {each["side_data_type"]: each for each in stream.get("side_data_list", ())}
    shape = NAMES_OF_FULL.get(stream.get("pix_fmt", ""), stream.get("pix_fmt"))
    return {
        "width": stream["width"],
        "height": stream["height"],
        "aspect": _aspect(stream.get("sample_aspect_ratio")),
        "format": shape,
        "bits": 10 if "10" in str(shape) else 12 if "12" in str(shape) else 8,
        "range": _known(stream.get("color_range")),
        "primaries": _known(stream.get("color_primaries")),
        "transfer": _known(stream.get("color_transfer")),
        "matrix": _known(stream.get("color_space")),
        "fields": _fields(stream.get("field_order"), head),
        "rotation": _lines(sides.get("Display Matrix", {}).get("displaymatrix")),
        "mastering": _numbers(sides.get("Mastering display metadata")),
        "light": _numbers(sides.get("Content light level metadata")),
        "start": float(stream["start_time"]) if "start_time" in stream else None,
        "duration": float(stream["duration"]) if "duration" in stream else None,
    }, pts


def _probed(video: Video) -> tuple[dict[str, object], list[Fraction]]:
    """The same by the product's probe, in FFmpeg's numbers instead of its names."""
    hdr = video.hdr or Hdr()
    colour = video.colour
    told: dict[str, object] = {
        "width": video.width,
        "height": video.height,
        "aspect": video.aspect or Fraction(1),
        "format": NAMES_OF_FULL.get(video.source_format, video.source_format),
        "bits": video.bits,
        "range": {1: "tv", 2: "pc"}.get(colour.range),
        "primaries": None if colour.primaries == 2 else colour.primaries,
        "transfer": None if colour.transfer == 2 else colour.transfer,
        "matrix": None if colour.matrix == 2 else colour.matrix,
        "fields": video.field_order,
        "rotation": video.turn.matrix,
        "mastering": None if hdr.mastering is None else repr(hdr.mastering),
        "light": None if hdr.light is None else repr(hdr.light),
        "start": float(int(video.pts[0]) * video.time_base),
        "duration": video.seconds,
    }
    return told, [int(pts) * video.time_base for pts in video.pts]


def _ffprobe(path: Path, *asked: str) -> Any:
    command = ["ffprobe", "-v", "quiet", "-of", "json", *asked, str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def _known(value: str | None) -> str | None:
    return None if value in UNKNOWN else value


def _aspect(value: str | None) -> Fraction:
    return Fraction(1) if value is None or value in UNKNOWN else Fraction(value.replace(":", "/"))


def _fields(told: str | None, head: Mapping[str, Any]) -> str:
    """Which lines come first, by what the first frame says, else the stream; "progressive" where neither says."""
    if head.get("interlaced_frame"):
        return "tt" if head.get("top_field_first") else "bb"
    return {"tt": "tt", "tb": "bb", "bb": "bb", "bt": "tt"}.get(told or "", "progressive")


def _lines(value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    rows = [line.partition(":")[2].split() for line in value.splitlines() if ":" in line]
    return tuple(int(number) for row in rows for number in row)


def _numbers(side: Mapping[str, Any] | None) -> tuple[tuple[str, float], ...] | None:
    if side is None:
        return None
    return tuple(
        (name, round(float(Fraction(str(value))), 4))
        for name, value in sorted(side.items())
        if name != "side_data_type"
    )
