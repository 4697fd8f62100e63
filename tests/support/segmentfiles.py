"""Made frames to encode, what came of them, and files put together from segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from support import yuvframes
from support.videos.scene import scene
from velum_pipeline.options import Gps
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import Encoding, SegmentWriter
from velum_pipeline.video.join import Joined, join
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded

SIZE = (96, 64)
PACKAGED = 8
"""Bytes of a box before its content."""


def described(
    pts: Sequence[int] = range(0, 12 * 512, 512),
    pixel_format: str = "yuv420p",
    *,
    size: tuple[int, int] = SIZE,
    time_base: Fraction = Fraction(1, 12800),
    **changes: Any,
) -> Video:
    """A video with frames at ``pts`` and no bytes to speak of, so that its size binds nothing."""
    video = yuvframes.video(*size, pixel_format)
    step = pts[-1] - pts[-2] if len(pts) > 1 else 1
    told = {"pts": np.array(pts, np.int64), "end": pts[-1] + step, "time_base": time_base, "size": 0}
    return replace(video, **(told | changes))


def frames(video: Video, first: int = 0, stop: int | None = None) -> Iterator[av.VideoFrame]:
    """The frames of a described video; each shows its number."""
    for number in range(first, video.frames if stop is None else stop):
        picture = av.VideoFrame.from_ndarray(scene(number, video.width, video.height), "bgr24")
        frame = picture.reformat(format=video.pixel_format)
        frame.pts, frame.time_base = int(video.pts[number]), video.time_base
        yield frame


def written(path: Path, video: Video, encoding: Encoding, made: Iterator[av.VideoFrame], threads: int = 1) -> Path:
    """A segment's file."""
    with SegmentWriter(path, video, encoding, threads) as writer:
        for frame in made:
            writer.write(frame)
    return path


def segmented(source: Path, folder: Path, bounds: Sequence[int]) -> tuple[Video, list[Path]]:
    """A file's video in segments that begin at ``bounds``."""
    opener = partial(open, source, "rb")
    video = probe(opener)
    parts = []
    for number, (first, stop) in enumerate(zip(bounds, [*bounds[1:], video.frames], strict=True)):
        made = (each.frame for each in decoded(opener, video, first, stop, threads=1))
        parts.append(written(folder / f"part-{number}.nut", video, Encoding(), made))
    return video, parts


def luma(frame: av.VideoFrame) -> NDArray[Any]:
    """(height, width), uint8 or uint16."""
    plane = frame.planes[0]
    samples = np.frombuffer(memoryview(plane), np.uint16 if frame.format.name.endswith("10le") else np.uint8)
    return samples.reshape(-1, plane.line_size // samples.itemsize)[: frame.height, : frame.width]


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    """dB."""
    white = 1023 if one.dtype == np.uint16 else 255
    return float(10 * np.log10(white**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-3)))


def boxes(path: Path) -> list[str]:
    """The names of an mp4's outermost boxes, in order."""
    found, data, at = [], path.read_bytes(), 0
    while at + PACKAGED <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 4 : at + PACKAGED].decode())
        at += size if size >= PACKAGED else len(data)
    return found


def joined(
    source: Path, folder: Path, bounds: Sequence[int] = (0,), gps: Gps = Gps.KEEP, name: str = "out.mp4"
) -> tuple[Path, Joined]:
    """A clip's video in segments that begin at ``bounds``, and put together again."""
    video, parts = segmented(source, folder, bounds)
    return folder / name, join(partial(open, source, "rb"), video, parts, folder / name, gps=gps)


def pictures(path: Path) -> list[tuple[Fraction, NDArray[Any]]]:
    """When each frame is shown, in seconds, and its luma."""
    with av.open(str(path)) as file:
        return [(frame.pts * frame.time_base, luma(frame).copy()) for frame in file.decode(video=0)]


def payloads(path: Path, kind: str) -> list[bytes]:
    """The packets of the streams of a kind, but for the chapters'."""
    with av.open(str(path)) as file:
        wanted = [stream for stream in file.streams if stream.type == kind and stream.discard != av.stream.Discard.all]
        return [bytes(packet) for packet in file.demux(wanted) if packet.size]
