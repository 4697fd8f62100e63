"""Which pixel format frames are worked on in, and how those of a decoder get there.

Samples are kept as they are wherever the formats allow: the same depth up to 10 bits, the same chroma subsampling.
Where sizes are odd, encoders cannot write subsampled chroma of the same size, so chroma is made whole. Hidden pixels
are not shown: what has opacity is laid over black.
"""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from velum_pipeline.errors import UnsupportedMedia
from velum_pipeline.video.description import Colour, Video

SUBSAMPLED = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (4, 1): "422", (4, 4): "420", (1, 2): "444", (2, 4): "420"}
"""Luma samples to a chroma sample, across and down, and the format that loses none of them."""
HD_LINES = 720
"""From here on colours whose matrix nobody named are taken for BT.709, below for BT.601: what players do."""
LIMITED, FULL = 1, 2
BT709, BT601 = 1, 6
MAX_10_BIT = 1023
EXACT = frozenset(("h264", "hevc", "vp8", "vp9", "av1", "prores", "mpeg2video", "mpeg4", "mjpeg"))
"""Codecs whose decoders clip samples to their depth; one too large would end x264, and the process with it."""


def worked_on(source: str, width: int, height: int) -> str:
    """The format for a decoder's pixel format and a size. Raises UnsupportedMedia."""
    try:
        layout = av.VideoFormat(source, width, height)
        bits = max(each.bits for each in layout.components)
    except ValueError:
        raise UnsupportedMedia(f"samples of format {source} are not supported") from None
    depth = "10le" if bits > 8 else ""
    mixed = layout.is_rgb or layout.has_palette or layout.is_bayer
    if not mixed and sum(not each.is_alpha for each in layout.components) < 3:
        return f"gray{depth}"
    if mixed or has_opacity(source):
        return f"yuv444p{depth}"
    ratio = (64 // layout.chroma_width(64), 64 // layout.chroma_height(64))
    chroma = SUBSAMPLED.get(ratio, "444")
    if (chroma != "444" and width % 2) or (chroma == "420" and height % 2):
        chroma = "444"
    return f"yuv{chroma}p{depth}"


def stated(source: str, told: Colour, height: int) -> Colour:
    """How samples are to be read once they are in our format: what was told, and what conversion makes of it."""
    layout = av.VideoFormat(source, 16, 16)
    if layout.is_rgb or layout.has_palette or layout.is_bayer:
        return Colour(LIMITED, told.primaries, told.transfer, BT709 if height >= HD_LINES else BT601)
    return Colour(FULL, told.primaries, told.transfer, told.matrix) if source.startswith("yuvj") else told


def has_opacity(source: str) -> bool:
    """Whether a pixel format says how much of each pixel is seen."""
    layout = av.VideoFormat(source, 16, 16)
    return not layout.has_palette and any(each.is_alpha for each in layout.components)


class Conversion:
    """Brings the frames of one video into its ``pixel_format``."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._reformatter = VideoReformatter()
        self._clips = video.bits == 10 and video.codec not in EXACT

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame; its timestamps are to be set again. It may be the decoder's, which refers to it: not to be
        written into before ``make_writable``, which copies only what somebody else still holds.
        """
        source = frame.format.name
        if source != self._video.pixel_format:
            frame = self._converted(frame, source)
        if self._clips:
            frame.make_writable()
            for plane in frame.planes:
                samples = _samples(plane, np.uint16)
                np.minimum(samples, MAX_10_BIT, out=samples)
        return frame

    def _converted(self, frame: av.VideoFrame, source: str) -> av.VideoFrame:
        target = self._video.pixel_format
        opaque = not has_opacity(source)
        between = target if opaque else target.replace("yuv", "yuva").replace("gray", "yuva444p")
        made = self._reformatter.reformat(frame, format=between, **self._colours(source))
        if not opaque:
            made = _over_black(made, target, full=self._video.colour.range == FULL)
        return made

    def _colours(self, source: str) -> dict[str, Any]:
        """Both sides the same where nothing but the format changes: swscale then leaves samples alone."""
        if av.VideoFormat(source, 16, 16).is_rgb or av.VideoFormat(source, 16, 16).has_palette:
            matrix = Colorspace.ITU709 if self._video.colour.matrix == BT709 else Colorspace.ITU601
            return {"dst_colorspace": matrix, "dst_color_range": ColorRange.MPEG}
        kept = ColorRange.JPEG if self._video.colour.range == FULL or source.startswith("yuvj") else ColorRange.MPEG
        return {"src_color_range": kept, "dst_color_range": kept}


def _samples(plane: Any, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(plane, kind)


def _over_black(frame: av.VideoFrame, target: str, *, full: bool) -> av.VideoFrame:
    """Each plane drawn towards black's code by as much as the pixel is transparent."""
    kind, bits = (np.uint16, 10) if target.endswith("10le") else (np.uint8, 8)
    made = av.VideoFrame(frame.width, frame.height, target)
    top = (1 << bits) - 1
    opacity = _picture(frame.planes[3], kind).astype(np.int64)
    blacks = (0 if full else 16 << bits - 8, 128 << bits - 8, 128 << bits - 8)
    for given, plane, black in zip(frame.planes, made.planes, blacks, strict=False):
        away = _picture(given, kind).astype(np.int64) - black
        _picture(plane, kind)[:] = black + (away * opacity + top // 2) // top
    return made


def _picture(plane: Any, kind: type[np.generic]) -> NDArray[Any]:
    return _samples(plane, kind).reshape(plane.height, -1)[:, : plane.width]
