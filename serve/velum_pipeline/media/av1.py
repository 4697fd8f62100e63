"""The size that an AV1 picture's own header announces (AV1 Bitstream Specification, 5.3 to 5.5).

A decoder takes the memory of that size, whatever the container says of it, so both must agree before it is asked: a
kilobyte can announce 65536 x 65536 pixels.
"""

from __future__ import annotations

from velum_pipeline.errors import CorruptMedia
from velum_pipeline.media.dimensions import Dimensions

SEQUENCE_HEADER = 1
MAX_UNITS = 4096
"""Of one item; a still picture has three."""
MAX_HEADER = 512
"""Bytes of a sequence header that are looked at: with 32 operating points it has some 400."""
HIGH_LEVELS = 7
"""Levels above this one say their tier."""


def largest(item: bytes) -> Dimensions:
    """The largest frame that an item's sequence headers allow. Raises CorruptMedia when none of them can be read."""
    sizes = [_size(_Bits(body)) for kind, body in _units(item) if kind == SEQUENCE_HEADER]
    if not sizes:
        raise CorruptMedia("the AV1 data do not announce their size")
    return Dimensions(max(size.width for size in sizes), max(size.height for size in sizes))


def _units(item: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of the open bitstream units (5.3.1); one without a length reaches to the end."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(item) and len(found) < MAX_UNITS:
        header = item[at]
        at += 2 if header & 4 else 1
        length = len(item) - at
        if header & 2:
            length, at = _leb128(item, at)
        if at + length > len(item):
            raise CorruptMedia("an AV1 unit reaches past its item")
        found.append((header >> 3 & 15, item[at : at + length]))
        at += length
    return found


def _leb128(item: bytes, at: int) -> tuple[int, int]:
    """The number (4.10.5) and where it ends."""
    value = 0
    for index in range(8):
        if at >= len(item):
            break
        value |= (item[at] & 0x7F) << 7 * index
        at += 1
        if not item[at - 1] & 0x80:
            return value, at
    raise CorruptMedia("the length of an AV1 unit is broken")


class _Bits:
    """Numbers of any count of bits, highest first (4.10.2). Raises CorruptMedia at the end."""

    def __init__(self, body: bytes) -> None:
        self.value = int.from_bytes(body[:MAX_HEADER], "big")
        self.left = 8 * len(body[:MAX_HEADER])

    def take(self, count: int) -> int:
        self.left -= count
        if self.left < 0:
            raise CorruptMedia("an AV1 sequence header ends early")
        return self.value >> self.left & (1 << count) - 1


def _size(bits: _Bits) -> Dimensions:
    """max_frame_width and max_frame_height of a sequence header (5.5.1)."""
    bits.take(4)  # profile, still_picture
    if bits.take(1):  # reduced_still_picture_header
        bits.take(5)
    else:
        _operating_points(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    return Dimensions(bits.take(wide) + 1, bits.take(high) + 1)


def _operating_points(bits: _Bits) -> None:
    """Skip what only moving pictures need."""
    delay = 0
    modelled = False
    if bits.take(1):
        bits.take(64)
        if bits.take(1):  # equal_picture_interval, uvlc (4.10.3)
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(min(zeros, 32))
        modelled = bool(bits.take(1))
        if modelled:
            delay = bits.take(5) + 1
            bits.take(42)
    delayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > HIGH_LEVELS:
            bits.take(1)
        if modelled and bits.take(1):
            bits.take(2 * delay + 1)
        if delayed and bits.take(1):
            bits.take(4)
