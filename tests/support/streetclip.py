"""The sample picture as a clip: a slow pan over its three faces and a plate, with a tone beside it."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from velum_cli.sample import sample_picture

RATE = 10
SAMPLES = 48_000
STEP = 4
"""Pixels that the view moves from frame to frame."""
FACES = 3


def frames(count: int) -> list[NDArray[np.uint8]]:
    """The frames (640, 960, 3), BGR."""
    picture = cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), cv2.IMREAD_COLOR)
    wide = cv2.copyMakeBorder(picture, 0, 0, 0, STEP * count, cv2.BORDER_REPLICATE)
    return [np.ascontiguousarray(wide[:, STEP * each : STEP * each + picture.shape[1]]) for each in range(count)]


def first_face(number: int) -> tuple[slice, slice]:
    """Rows and columns of the leftmost face in this frame, as long as it is in view (40 frames)."""
    return slice(240, 310), slice(160 - STEP * number, 220 - STEP * number)


def street_clip(path: Path, count: int = 12, key_every: int = 6) -> Path:
    """Write it: H.264 and AAC, in the container that the path's suffix names."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "16"})
        video.width, video.height, video.pix_fmt, video.gop_size = 960, 640, "yuv420p", key_every
        sound = container.add_stream("aac", rate=SAMPLES)
        for number, pixels in enumerate(frames(count)):
            frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(video.encode(frame))
        wave = np.sin(np.arange(SAMPLES * count // RATE) * 0.05).astype(np.float32)
        for start in range(0, len(wave), 1024):
            tone = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            tone.pts, tone.sample_rate = start, SAMPLES
            container.mux(sound.encode(tone))
        for stream in (video, sound):
            container.mux(stream.encode(None))
    return path


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a file, BGR, as stored."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[bytes]:
    """What its audio packets hold."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]
