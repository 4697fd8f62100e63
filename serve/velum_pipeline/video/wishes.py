"""What is asked for of a video, the same for all its segments."""

from __future__ import annotations

from dataclasses import dataclass

from velum_pipeline.options import Options
from velum_pipeline.video.encoder import Encoding


@dataclass(frozen=True)
class Wishes:
    """How a video is to be worked on.

    name: what it is called in the metadata. key: secret bytes of this task; with them and the original, the noise of
    the covers can be told. every: of so many frames one is looked at. threads: of the decoder, and of the encoder; 0:
    as many as there are cores. batch: frames that are put to the detector at a time.
    """

    options: Options
    encoding: Encoding
    name: str
    key: bytes
    every: int = 1
    threads: int = 0
    batch: int = 1
