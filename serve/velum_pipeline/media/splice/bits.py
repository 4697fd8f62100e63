"""A window on a bit stream: for every bit position in it, the 16 bits that follow.

What a code word at a position means, and how far the next one is, is then looked up for all positions at once, by
numpy; following the chain of words is left to a loop that only adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice.frame import Bytes

WINDOW_BYTES = 1 << 16
SLACK_BYTES = 1 << 12
"""After a window's limit: an MCU of ten blocks of 64 coefficients of at most 31 bits takes 2480 bytes."""


@dataclass(frozen=True)
class Window:
    """Bits from ``base`` on. following: uint16 (n,), the 16 bits after each. limit: where no MCU should begin any more.

    Positions are relative to ``base``.
    """

    base: int
    following: NDArray[np.uint16]
    limit: int

    def numbers(self, positions: NDArray[np.int64], sizes: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The unsigned numbers of ``sizes`` (0..15) bits at these positions."""
        return self.following[positions].astype(np.int32) >> (16 - sizes.astype(np.int32))


def window(data: Bytes, position: int) -> Window:
    """The window that begins with the byte of this bit. Past the data come zeros, as libjpeg has it."""
    start = position // 8
    size = min(WINDOW_BYTES, len(data) - start + 1) + SLACK_BYTES
    held = np.zeros(size + 2, np.uint32)
    part = data[start : start + size + 2]
    held[: len(part)] = part
    three = held[:-2] << 16 | held[1:-1] << 8 | held[2:]
    following = (three[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16)
    return Window(8 * start, following.ravel(), 8 * WINDOW_BYTES)


def signed(values: NDArray[np.int32], sizes: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Numbers of so many bits as JPEG means them (T.81, F.2.2.1, EXTEND): a leading zero makes them negative."""
    wide = sizes.astype(np.int32)
    negative = (values < (1 << wide >> 1)) & (wide > 0)
    return np.where(negative, values - (1 << wide) + 1, values).astype(np.int32)


def single(data: Bytes, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits at these positions. Past the data: zeros."""
    inside = np.minimum(positions >> 3, len(data) - 1)
    found = data[inside] >> (7 - (positions & 7)).astype(np.uint8) & 1
    return np.where(positions < 8 * len(data), found, 0).astype(np.uint8)
