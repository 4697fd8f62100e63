"""One file of the corpus, and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.corpus.scene import Array, scene
from velum_pipeline.errors import MediaError


@dataclass(frozen=True)
class Entry:
    """A file of one format, made by code, with what it must become.

    make: the file's bytes. refused, because: the error's class and words that its text has, for files that must not be
    worked on. truth: the upright picture, BGR or grey uint8, that it shows; tolerance: how far the output may be from
    it outside the regions, mean of the absolute difference in 8-bit steps. mode, bits: Pillow's mode and the bits per
    sample of the output. icc: the profile that must be there. camera, rights: whether the EXIF block (maker and
    position) and the XMP packet must be there. planted: how many copies of the face hide beside the picture itself, at
    least. secrets: bytes that must not be in the output. new_thumbnail: whether the output must have one.
    """

    name: str
    make: Callable[[], bytes]
    refused: type[MediaError] | None = None
    because: str = ""
    truth: Callable[[], Array] = scene
    tolerance: float = 0.0
    mode: str = "RGB"
    bits: int = 8
    icc: bytes | None = None
    camera: bool = False
    rights: bool = False
    planted: int = 0
    secrets: tuple[bytes, ...] = ()
    new_thumbnail: bool = False

    @property
    def form(self) -> str:
        """The format: the first word of the name."""
        return self.name.split(maxsplit=1)[0]
