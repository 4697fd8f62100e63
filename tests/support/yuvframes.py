"""Frames made plane by plane, and the plainest ways to turn them and to say which samples a picture's mask touches."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np

from velum_pipeline.media.kinds import PNG
from velum_pipeline.video.description import Colour, Turn, Video
from velum_pipeline.video.planes import samples

Array = np.ndarray[Any, Any]
TURNS = [Turn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)]


def video(
    width: int,
    height: int,
    pixel_format: str = "yuv420p",
    *,
    turn: Turn | None = None,
    colour: Colour | None = None,
    field_order: str = "progressive",
) -> Video:
    """A description of 1000 frames; the container is of no interest here."""
    return Video(
        media_type=PNG,
        stream=0,
        codec="rawvideo",
        width=width,
        height=height,
        turn=turn or Turn(),
        source_format=pixel_format,
        pixel_format=pixel_format,
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        aspect=Fraction(1),
        colour=colour or Colour(),
        field_order=field_order,
        hdr=None,
        pts=np.arange(1000),
        end=1000,
        keys=np.zeros(1, np.int64),
        size=1,
    )


def blank(like: Video) -> av.VideoFrame:
    """A frame of a video, with whatever was in the memory."""
    return av.VideoFrame(like.width, like.height, like.pixel_format)


def noisy(like: Video, seed: int = 0) -> av.VideoFrame:
    """Any code the depth allows, in every sample; the padding of lines too."""
    frame, random = blank(like), np.random.default_rng(seed)
    for plane in samples(frame, like):
        plane[:] = random.integers(0, 1 << like.bits, plane.shape)
    return frame


def cropped(frame: av.VideoFrame, like: Video) -> list[Array]:
    """Copies of the planes without what pads their lines."""
    return [view[:, : plane.width].copy() for view, plane in zip(samples(frame, like), frame.planes, strict=True)]


def padding(frame: av.VideoFrame, like: Video) -> list[Array]:
    """Copies of what pads the lines."""
    return [view[:, plane.width :].copy() for view, plane in zip(samples(frame, like), frame.planes, strict=True)]


def shown(stored: Array, turn: Turn) -> Array:
    """By numpy: mirrored left-right first, then turned counterclockwise."""
    return np.rot90(np.fliplr(stored) if turn.mirrored else stored, turn.quarters)


def kept(displayed: Array, turn: Turn) -> Array:
    """The way back."""
    turned = np.rot90(displayed, -turn.quarters)
    return np.fliplr(turned) if turn.mirrored else turned


def chroma(strength: Array, like: Video) -> Array:
    """The largest strength of the pixels that each sample of chroma colours; of both fields where there are two."""
    across = 2 if "420" in like.pixel_format or "422" in like.pixel_format else 1
    down = 2 if "420" in like.pixel_format else 1
    found = np.zeros((-(-like.height // down), -(-like.width // across)), np.uint8)
    wide = np.zeros((like.height, found.shape[1] * across), np.uint8)
    wide[:, : like.width] = strength
    for row in range(len(found)):
        rows = {down * row + line for line in range(down)}
        if down == 2 and like.field_order != "progressive":
            rows |= set(range(row // 2 * 4, row // 2 * 4 + 4))
        lines = wide[[line for line in sorted(rows) if line < like.height]]
        found[row] = lines.max(axis=0).reshape(-1, across).max(axis=1)
    return found
