"""What a JPEG file is made of (ITU-T T.81, annex B): its frame, tables and scans, and what its components mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.errors import OptionError

SOI, EOI, SOS, DQT, DHT, DAC, DRI, DNL = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDD, 0xDC
APP0, APP14 = 0xE0, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
Bytes = NDArray[np.uint8]


def refused(why: str) -> OptionError:
    """The error for a JPEG whose blocks cannot be kept as they are."""
    return OptionError("lossless", f"the blocks of this JPEG cannot be kept: {why}; send it without lossless")


class Space(Enum):
    """What a file's components mean."""

    GREY = "grey"
    YCC = "ycc"
    RGB = "rgb"
    CMYK = "cmyk"
    YCCK = "ycck"


@dataclass(frozen=True)
class Component:
    """One colour plane. across, down: its own blocks. stride, rows: with those that fill up the last MCUs.

    first: where its blocks start in the store of all components.
    """

    identifier: int
    horizontal: int
    vertical: int
    table: int
    across: int
    down: int
    stride: int
    rows: int
    first: int


@dataclass(frozen=True)
class Code:
    """A Huffman table as DHT has it: how many codes of each length 1..16, and their symbols in order."""

    counts: bytes
    symbols: bytes


@dataclass(frozen=True)
class Scan:
    """One scan: which components, with which codes, which band of coefficients and bits, and its data.

    data: bytes without stuffing. starts: bit at which each restart interval begins, and where the data end.
    """

    components: tuple[int, ...]
    dc: tuple[Code | None, ...]
    ac: tuple[Code | None, ...]
    first: int
    last: int
    high: int
    low: int
    interval: int
    data: Bytes
    starts: list[int]


@dataclass
class Frame:
    """The whole file. jfif: whether it has a JFIF segment. adobe: the transform of its Adobe segment, None without."""

    process: int
    width: int
    height: int
    components: tuple[Component, ...]
    quantisation: dict[int, NDArray[np.uint16]] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    jfif: bool = False
    adobe: int | None = None

    @property
    def space(self) -> Space:
        """What the components mean, as libjpeg decides it."""
        count = len(self.components)
        if count == 1:
            return Space.GREY
        if count == 4:
            return Space.CMYK if self.adobe in (None, 0) else Space.YCCK
        if self.jfif or self.adobe not in (None, 0):
            return Space.YCC
        letters = bytes(each.identifier for each in self.components) == b"RGB"
        return Space.RGB if self.adobe == 0 or letters else Space.YCC

    @property
    def widest(self) -> int:
        """The largest horizontal sampling factor."""
        return max(each.horizontal for each in self.components)

    @property
    def tallest(self) -> int:
        """The largest vertical sampling factor."""
        return max(each.vertical for each in self.components)

    @property
    def blocks(self) -> int:
        """Blocks of all components, those that fill up the last MCUs included."""
        return sum(each.stride * each.rows for each in self.components)
