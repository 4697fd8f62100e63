"""A frame's planes as arrays, and the views of a frame that are looked at.

Redaction writes into the planes; only what a detector looks at is converted, and never back.
"""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from velum_pipeline.errors import StageFailed
from velum_pipeline.video import conversion, turns
from velum_pipeline.video.colour import Coding
from velum_pipeline.video.description import FORMATS, Video
from velum_pipeline.video.formats import FULL, LIMITED

Plane = NDArray[Any]
"""uint8 or uint16 (H, stride): the samples of a line, then what pads it."""
SUBSAMPLING = {name: ("420" in name or "422" in name, "420" in name) for name in FORMATS}
"""Whether a sample of chroma covers two pixels (across, down), by pixel format."""
SMALL_SIDE = 64
"""Pixels of the longer side of the picture in which cuts are looked for."""
READ_LINES = 4
BY_SWSCALE = ("yuv420p", "yuv422p")
"""What FFmpeg converts by code written for it: 0.4 ms of 1080p against 1.8 ms of ours, which needs 1.6 ms where FFmpeg
goes through its general scaler and takes 15."""


def samples(frame: av.VideoFrame, video: Video) -> list[Plane]:
    """Writable views of a frame's planes: luma, then Cb and Cr where there are any.

    Raises StageFailed for a frame that is not what the video was found to be.
    """
    require_alike(frame, video)
    return [_lines(plane, video.bits) for plane in frame.planes]


def require_alike(frame: av.VideoFrame, video: Video) -> None:
    """Raise StageFailed for a frame that is not what the video was found to be."""
    found = frame.format.name, frame.width, frame.height
    due = video.pixel_format, video.width, video.height
    if found != due:
        raise StageFailed("a frame is {} of {} x {}, the video {} of {} x {}".format(*found, *due))


def upright(frame: av.VideoFrame, video: Video) -> NDArray[np.uint8]:
    """One frame as `Upright` gives it."""
    return Upright(video)(frame)


class Upright:
    """Frames as detectors see them. For one video and one thread: FFmpeg's scaler is kept from frame to frame."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._coding = Coding.of(video)
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """BGR uint8 (H, W, 3) as displayed; of 10 bits the upper eight. Raises StageFailed for another kind."""
        video, coding = self._video, self._coding
        planes = samples(frame, video)
        if video.pixel_format in BY_SWSCALE:
            bgr = self._scaler.reformat(
                frame,
                format="bgr24",
                src_colorspace=coding.matrix,
                src_color_range=FULL if coding.full else LIMITED,
                dst_color_range=FULL,
                threads=1,  # of its own, which cost more than they save
            ).to_ndarray()
        else:
            bgr = _converted(planes, coding, video)
        return turns.displayed(bgr, video.turn)


def small(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Luma as stored, averaged to about SMALL_SIDE pixels along its longer side, uint8; never enlarged.

    By whole numbers of pixels, and of at most READ_LINES lines each, because most of the time is reading them.
    """
    bits = frame.format.components[0].bits
    block = max(max(frame.width, frame.height) // SMALL_SIDE, 1)
    step, lines = max(block // READ_LINES, 1), min(block, READ_LINES)
    luma = _lines(frame.planes[0], bits)[::step]
    size = max(frame.width // block, 1), max(len(luma) // lines, 1)
    luma = luma[: size[1] * lines, : min(size[0] * block, frame.width)]
    averaged = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint16)
    return (averaged >> (bits - 8)).astype(np.uint8)


def _lines(plane: Any, bits: int) -> Plane:
    dtype = np.uint8 if bits == 8 else np.uint16
    array: Plane = np.frombuffer(plane, dtype)
    return array.reshape(-1, plane.line_size // array.itemsize)[: plane.height]


def _converted(planes: list[Plane], coding: Coding, video: Video) -> NDArray[np.uint8]:
    bgr = np.empty((video.height, video.width, 3), np.uint8)
    lines = bgr.reshape(video.height, -1)
    factors = np.round(np.array(coding.factors) * (1 << conversion.PLACES)).astype(np.int32)
    black, middle = int(coding.black), int(coding.middle)
    if coding.grey:
        conversion.grey(planes[0], factors, black, lines)
    else:
        luma, cb, cr = planes
        across, down = SUBSAMPLING[video.pixel_format]
        conversion.bgr(luma, cb, cr, across, down, factors, black, middle, lines)
    return bgr
