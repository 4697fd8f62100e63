"""Clips that are hard to code at few bits: a street of textures that pans, with textures that cross it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from velum_pipeline.video.scheduling import ordinary_scheduling

RATE = 25
CROSSING = 5
ENCODERS: Mapping[str, Mapping[str, str]] = {
    "libsvtav1": {"preset": "10"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "7", "b": "0"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=error"},
    "libx264": {"preset": "medium"},
}


def street(frames: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures (height, width), the same ones each time."""
    random = np.random.default_rng(7)
    ground = _texture(random, 2 * height, 2 * width)
    crossing = [_texture(random, height // 4, width // 6) for _ in range(CROSSING)]
    for number in range(frames):
        turned = np.array([[1, 0.002 * np.sin(number / 9), -1.7 * number], [0, 1, 4 * np.sin(number / 7) - height / 4]])
        picture = cv2.warpAffine(ground, turned, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        for place, each in enumerate(crossing):
            tall, wide = each.shape
            left = abs((37 * place + (1 + place) * number) % (2 * (width - wide)) - (width - wide))
            top = (height - tall) * place // CROSSING
            picture[top : top + tall, left : left + wide] = each
        yield picture


def _texture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Noise whose amplitude falls with its frequency, as in photographs."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = np.fft.rfft2(random.standard_normal((height, width))) / np.maximum(np.hypot(rows, columns), 1 / width)
    plane = np.fft.irfft2(falling, (height, width))
    return np.clip(128 + 40 * plane / plane.std(), 16, 235).astype(np.uint8)


def coded(path: Path, encoder: str, factor: int, *, frames: int = 90, size: tuple[int, int] = (320, 240)) -> Path:
    """A file of these pictures, grey ones in 4:2:0. factor: the rate factor. Its key frames are 30 frames apart."""
    with av.open(str(path), "w") as container:
        options = {**ENCODERS[encoder], "crf": str(factor), "g": "30"}
        stream = cast(VideoStream, container.add_stream(encoder, rate=RATE, options=options))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        with ordinary_scheduling():
            stream.codec_context.open()
        for number, picture in enumerate(street(frames, *size)):
            frame = av.VideoFrame.from_ndarray(picture, "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
