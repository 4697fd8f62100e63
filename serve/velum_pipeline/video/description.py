"""What a video is: everything that a process must know to decode any part of it and to write that part again.

It is found once, by one pass over the packets, and then handed to every process that works on the video: a frame's
ordinal, its row in ``pts``, is the same for all of them.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.errors import CorruptMedia
from velum_pipeline.media.kinds import MediaType

FORMATS = (
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "gray",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "gray10le",
)
"""FFmpeg's names of the pixel formats that frames are worked on in: planes of 8 or 10 bits, nothing else."""
RIGHT_ANGLES = 4
Point = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Colour:
    """How samples are to be read, as code points of ITU-T H.273, which FFmpeg uses too; 2 is unspecified.

    range: FFmpeg's, 0 unspecified, 1 limited ("tv"), 2 full ("pc").
    """

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


@dataclass(frozen=True)
class Turn:
    """From the stored picture to the displayed: mirrored left-right first, then turned counterclockwise.

    quarters: of a turn, 0..3, numpy's ``rot90(k)``. mirrored: whether it is mirrored. matrix: the container's display
    matrix as it was, nine numbers in FFmpeg's fixed point; None without one.
    """

    quarters: int = 0
    mirrored: bool = False
    matrix: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Mastering:
    """The display a video was graded on (SMPTE ST 2086).

    red, green, blue, white: chromaticities (x, y), None when not said. darkest, brightest: cd/m², None when not said.
    """

    red: Point | None = None
    green: Point | None = None
    blue: Point | None = None
    white: Point | None = None
    darkest: Fraction | None = None
    brightest: Fraction | None = None


@dataclass(frozen=True)
class Light:
    """Content light level (CTA-861.3), cd/m²: of the brightest pixel, and of the brightest frame's average."""

    content: int
    average: int


@dataclass(frozen=True)
class Hdr:
    """What a video says to displays of high dynamic range."""

    mastering: Mastering | None = None
    light: Light | None = None


@dataclass(frozen=True, eq=False)
class Video:
    """One video stream of a file.

    media_type: the container. stream: the stream's index in it. codec: FFmpeg's name of how it is coded. width, height:
    pixels as stored, before ``turn``. source_format: FFmpeg's name of the decoder's pixel format. pixel_format: one of
    FORMATS, which frames are worked on in. time_base: seconds of one unit of ``pts``. rate: frames per second, nominal
    or on average. aspect: a sample's width to its height; 0 when not said. field_order: "progressive", or whose lines
    are shown first, "tt" or "bb".

    pts: (N,) int64, when each frame is shown, strictly rising; a frame's ordinal is its row. end: when the last frame
    ends. keys: (K,) int64, rising: ordinals of key frames, where segments can begin; the first is 0. size: bytes of the
    stream's packets. counted: the file does not say when each frame is shown, so frames are known by their place in the
    decoder's output and decoding always begins at the file's start, which takes longer the further back a segment is.
    left_out: streams that are neither worked on nor copied, in words. lost: how many frames more there were, which the
    file is known to have no packets of any more.
    """

    media_type: MediaType
    stream: int
    codec: str
    width: int
    height: int
    turn: Turn
    source_format: str
    pixel_format: str
    time_base: Fraction
    rate: Fraction
    aspect: Fraction
    colour: Colour
    field_order: str
    hdr: Hdr | None
    pts: NDArray[np.int64]
    end: int
    keys: NDArray[np.int64]
    size: int
    counted: bool = False
    left_out: tuple[str, ...] = ()
    lost: int = 0

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.pts)

    @property
    def bits(self) -> int:
        """Bits of a sample in ``pixel_format``: 8 or 10."""
        return 10 if self.pixel_format.endswith("10le") else 8

    @property
    def displayed_width(self) -> int:
        """Pixels across the picture as it is shown."""
        return self.height if self.turn.quarters % 2 else self.width

    @property
    def displayed_height(self) -> int:
        """Pixels down the picture as it is shown."""
        return self.width if self.turn.quarters % 2 else self.height

    @property
    def seconds(self) -> float:
        """From the first frame's beginning to the last one's end."""
        return float((self.end - int(self.pts[0])) * self.time_base) if self.frames else 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and self.dumps() == other.dumps()

    __hash__ = None  # type: ignore[assignment]

    def dumps(self) -> bytes:
        """As bytes that ``loads`` reads: for other processes of the same version."""
        arrays = {"pts": self.pts, "keys": self.keys}
        told = {name: value for name, value in asdict(self).items() if name not in arrays}
        header = np.frombuffer(json.dumps(told, default=_plain).encode(), np.uint8)
        buffer = io.BytesIO()
        steps = np.diff(self.pts, prepend=np.int64(0))  # small and often the same, so they pack well
        np.savez_compressed(buffer, header=header, steps=steps, keys=self.keys)
        return buffer.getvalue()

    @classmethod
    def loads(cls, data: bytes) -> Video:
        """What ``dumps`` wrote. Raises CorruptMedia for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                told: dict[str, Any] = json.loads(arrays["header"].tobytes())
                pts = np.cumsum(arrays["steps"], dtype=np.int64)
                return cls(**_typed(told), pts=pts, keys=arrays["keys"].astype(np.int64))
        except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise CorruptMedia(f"the bytes describe no video: {error}") from None


def turned(matrix: tuple[int, ...] | None) -> Turn:
    """What a display matrix says (ISO/IEC 14496-12, 6.2.2), to the nearest quarter of a turn.

    A stored point (x, y), y down, is shown at (a x + c y, b x + d y) besides a shift; a, b, c, d: entries 0, 1, 3, 4.
    """
    if matrix is None:
        return Turn()
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    mirrored = a * d - b * c < 0
    sign = -1 if mirrored else 1
    angle = math.atan2(-b * sign, a * sign)  # y points down, so counterclockwise is towards minus
    return Turn(round(angle / (math.pi / 2)) % RIGHT_ANGLES, mirrored, matrix)


def _plain(value: object) -> object:
    if isinstance(value, Fraction):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not part of a description")


def _typed(told: dict[str, Any]) -> dict[str, Any]:
    turn, hdr = told["turn"], told["hdr"]
    return told | {
        "media_type": MediaType(**told["media_type"]),
        "turn": Turn(turn["quarters"], turn["mirrored"], tuple(turn["matrix"]) if turn["matrix"] else None),
        "colour": Colour(**told["colour"]),
        "hdr": _hdr(hdr) if hdr else None,
        "left_out": tuple(told["left_out"]),
        **{name: Fraction(told[name]) for name in ("time_base", "rate", "aspect")},
    }


def _hdr(told: dict[str, Any]) -> Hdr:
    mastering, light = told["mastering"], told["light"]
    return Hdr(
        Mastering(**{name: _numbers(value) for name, value in mastering.items()}) if mastering else None,
        Light(**light) if light else None,
    )


def _numbers(value: str | list[str] | None) -> Any:
    if isinstance(value, list):
        return tuple(Fraction(each) for each in value)
    return Fraction(value) if value is not None else None
