"""The covers of a video, attacked: each hides a face for a while and is then made anew, of another box.

The covers are the product's own, in the planes of a frame of 4:2:0 that is the sheet; all that is left out is decoding
and encoding. One call is one cover of every face, as it is held for PERIOD frames. Other frames of the period show the
same, so whoever has a video has one copy for each period in which an object is seen.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from unittest.mock import patch

import av
import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces, Pixels
from evaluation.attack.likelihood import Silent
from evaluation.attack.redactions import DEFAULT
from velum_pipeline import regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.media.kinds import MP4
from velum_pipeline.options import Method, ObjectClass, Options
from velum_pipeline.video import covers
from velum_pipeline.video.colour import Coding
from velum_pipeline.video.covers import PERIOD, SECRET_BYTES, Covers
from velum_pipeline.video.description import Colour, Turn, Video
from velum_pipeline.video.formats import FULL, LIMITED
from velum_pipeline.video.planes import Plane, samples, upright
from velum_pipeline.video.reader import Decoded

RATE = 25
"""Frames a second, as most videos have."""
MINUTE = 60 * RATE // PERIOD
"""Covers that a minute shows of an object."""


@dataclass(frozen=True)
class Film:
    """Our redaction of a video's frame in which every face is shown for the first time in its period.

    margin: as Velum's.
    """

    method: Method
    margin: int = 0

    def __call__(self, faces: Faces, random: np.random.Generator) -> Pixels:
        """The boxes as published."""
        return faces.crops(self.sheet(faces, faces.boxes, random), self.margin)

    def sheet(self, faces: Faces, boxes: NDArray[np.float32], random: np.random.Generator) -> Pixels:
        """The whole sheet as published, the tracker having said these boxes (N, 4). Of ``random`` is the task's key.

        A Silent one takes out all noise.
        """
        video, frame = _shot(faces)
        found = Detections(boxes, np.ones(len(boxes), np.float32), as_classes([ObjectClass.FACE] * len(boxes)))
        areas = regions.build(found, Options(self.method, {ObjectClass.FACE: DEFAULT}), video.width, video.height)
        own = Covers(video, self.method, random.bytes(SECRET_BYTES))
        with patch.object(covers, "_random", lambda _: random) if isinstance(random, Silent) else nullcontext():
            own.apply(Decoded(0, frame), areas, range(len(boxes)))
        return upright(frame, video)


def _video(width: int, height: int) -> Video:
    """The description of a video of one frame."""
    return Video(
        media_type=MP4,
        stream=0,
        codec="rawvideo",
        width=width,
        height=height,
        turn=Turn(),
        source_format="yuv420p",
        pixel_format="yuv420p",
        time_base=Fraction(1, RATE),
        rate=Fraction(RATE),
        aspect=Fraction(1),
        colour=Colour(),
        field_order="progressive",
        hdr=None,
        pts=np.arange(1),
        end=1,
        keys=np.zeros(1, np.int64),
        size=1,
    )


def _shot(faces: Faces) -> tuple[Video, av.VideoFrame]:
    """The sheet as a video of one frame, which may be written into."""
    video, planes = _converted(faces)
    frame = av.VideoFrame(video.width, video.height, video.pixel_format)
    for plane, converted in zip(samples(frame, video), planes, strict=True):
        plane[:, : converted.shape[1]] = converted
    return video, frame


@lru_cache(maxsize=1)
def _converted(faces: Faces) -> tuple[Video, list[Plane]]:
    """A sheet's planes, so that `upright` gives it back: half of the time of a run if it is done in each."""
    video = _video(*faces.sheet.shape[1::-1])
    coding = Coding.of(video)
    frame = av.VideoFrame.from_ndarray(faces.sheet, format="bgr24").reformat(
        format=video.pixel_format,
        dst_colorspace=coding.matrix,
        src_color_range=FULL,
        dst_color_range=FULL if coding.full else LIMITED,
    )
    return video, [
        view[:, : plane.width].copy() for view, plane in zip(samples(frame, video), frame.planes, strict=True)
    ]
