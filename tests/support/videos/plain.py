"""A description with nothing special about it, for tests that need no file."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from velum_pipeline.media.kinds import MP4
from velum_pipeline.video.description import Colour, Turn, Video

PLAIN = Video(
    media_type=MP4,
    stream=0,
    codec="h264",
    width=160,
    height=120,
    turn=Turn(),
    source_format="yuv420p",
    pixel_format="yuv420p",
    time_base=Fraction(1, 25),
    rate=Fraction(25),
    aspect=Fraction(1),
    colour=Colour(),
    field_order="progressive",
    hdr=None,
    pts=np.arange(1),
    end=1,
    keys=np.zeros(1, np.int64),
    size=1,
)
