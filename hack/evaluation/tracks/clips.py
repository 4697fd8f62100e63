"""Clips as files: made ones, larger ones, longer ones, and their frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from evaluation.errors import SetInvalid
from evaluation.tracks.scene import Scene

QUALITY = "14"
"""x264's CRF of made clips: the paste must not be smeared before anybody has looked at it."""
KEY_EVERY = 30
"""Frames: made clips can be worked on in pieces, as clips from cameras can."""


def frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Every frame in order of display, BGR uint8 (H, W, 3). Raises SetInvalid for what is no video."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise SetInvalid(path.name, "has no video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    except (av.FFmpegError, OSError) as error:
        raise SetInvalid(path.name, f"cannot be decoded: {error}") from error


def described(path: Path) -> tuple[tuple[int, int], int, Fraction]:
    """(width, height), the number of frames that decode, and frames per second. Raises SetInvalid."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or Fraction(30)
        size = stream.codec_context.width, stream.codec_context.height
        container.streams.video[0].thread_type = "AUTO"
        return size, sum(1 for _ in container.decode(stream)), rate


def write(path: Path, pictures: Iterable[NDArray[np.uint8]], rate: Fraction, quality: str = QUALITY) -> None:
    """An H.264 clip of BGR uint8 (H, W, 3) pictures at a constant rate."""
    with av.open(str(path), "w") as container:
        stream = None
        for picture in pictures:
            if stream is None:
                options = {"crf": quality, "preset": "veryfast", "g": str(KEY_EVERY)}
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        if stream is None:
            raise SetInvalid(path.name, "no frame to write")
        container.mux(stream.encode())


def made(scene: Scene, background: Path, target: Path, rate: Fraction) -> None:
    """Write the scene over a video's frames. Raises SetInvalid."""
    backgrounds = enumerate(islice(frames(background), scene.frames))
    pictures = (scene.compose(number, picture) for number, picture in backgrounds)
    write(target, pictures, rate)


def looped(source: Path, seconds: float, target: Path) -> int:
    """Repeat a clip's video packets, as they are, until it lasts so long. Returns the number of packets.

    The clip must begin at a key frame, as all do.
    """
    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        track = given.streams.video[0]
        stream = container.add_stream_from_template(track)
        base = [
            (bytes(packet), packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
            for packet in given.demux(track)
            if packet.pts is not None and packet.dts is not None
        ]
        if not base or track.time_base is None:
            raise SetInvalid(source.name, "has no packets with times")
        step = max(pts + duration for _, pts, _, duration, _ in base) - min(pts for _, pts, _, _, _ in base)
        rounds = math.ceil(seconds / float(step * track.time_base))
        for turn in range(rounds):
            for data, pts, dts, duration, key in base:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, track.time_base
                packet.pts, packet.dts = pts + turn * step, dts + turn * step
                packet.duration, packet.is_keyframe = duration, key
                container.mux(packet)
        return rounds * len(base)
