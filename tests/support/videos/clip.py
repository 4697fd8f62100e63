"""One made video: how it is written, and what is special about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True)
class Sound:
    """An audio track: FFmpeg's encoder and a language."""

    codec: str
    language: str = "eng"
    default: bool = True


@dataclass(frozen=True)
class Words:
    """A subtitle track: FFmpeg's name of its coding, texts with their start and end in seconds."""

    codec: str
    language: str = "eng"
    lines: tuple[tuple[float, float, str], ...] = ((0.1, 0.5, "first line"), (0.6, 0.9, "zweite Zeile: äöü"))


@dataclass(frozen=True)
class Clip:
    """A video of a few dozen small frames, made by code.

    name: file name with extension; the container follows from it. special: what is unusual about it, in words. codec,
    options: FFmpeg's encoder and its settings. size: as stored. pts: of frame n, in ``clock``. colour: range,
    primaries, transfer, matrix as FFmpeg's numbers. turn: degrees counterclockwise, mirrored left-right. mux: settings
    of the muxer. hidden: how many frames at the beginning are in the file and not shown.
    """

    name: str
    special: str
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (160, 120)
    frames: int = 30
    rate: Fraction = Fraction(25)
    clock: Fraction | None = None
    pts: Callable[[int], int] = lambda number: number
    options: Mapping[str, str] = field(default_factory=dict)
    mux: Mapping[str, str] = field(default_factory=dict)
    colour: tuple[int, int, int, int] | None = None
    aspect: Fraction | None = None
    turn: tuple[int, bool] | None = None
    sounds: tuple[Sound, ...] = ()
    subtitles: tuple[Words, ...] = ()
    data: tuple[str, ...] = ()
    chapters: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    cover: bool = False
    second_video: bool = False
    interlaced: bool = False
    hidden: int = 0

    @property
    def time_base(self) -> Fraction:
        """Seconds of one unit of ``pts``."""
        return self.clock or 1 / self.rate

    @property
    def shown(self) -> int:
        """How many frames a decoder gives out."""
        return self.frames - self.hidden
