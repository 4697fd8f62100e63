"""Where the blocks of a scan lie in the store of all components, and which restart interval they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice.frame import Frame, Scan, refused

MAX_MCU = 10
"""Blocks of one MCU of several components (T.81, B.2.3)."""
Indices = NDArray[np.int64]
Store = NDArray[np.int16]
"""(blocks, 64): quantised coefficients of all blocks of all components, in zigzag order."""


@dataclass(frozen=True)
class Slot:
    """One block of an MCU: its place in ``Scan.components``, and how its address follows from the MCU's."""

    component: int
    first: int
    across: int
    down: int


@dataclass(frozen=True)
class Order:
    """The blocks of a scan in the order of its data. wide, units: MCUs in a row, and in all. per: units per restart."""

    slots: tuple[Slot, ...]
    wide: int
    units: int
    per: int

    def addresses(self, numbers: Indices) -> Indices:
        """Rows of the store, by the blocks' numbers in the scan."""
        unit, slot = np.divmod(numbers, len(self.slots))
        row, column = np.divmod(unit, self.wide)
        first, across, down = (
            np.array([getattr(each, name) for each in self.slots], np.int64) for name in ("first", "across", "down")
        )
        return np.asarray(first[slot] + row * down[slot] + column * across[slot])

    @property
    def blocks(self) -> int:
        """Blocks in the scan."""
        return self.units * len(self.slots)


def order(frame: Frame, components: tuple[int, ...], interval: int = 0) -> Order:
    """The order of a scan of these components (T.81, A.2). Raises OptionError for an MCU of too many blocks."""
    if len(components) == 1:  # block by block, and only those that the picture touches
        lone = frame.components[components[0]]
        units = lone.across * lone.down
        return Order((Slot(0, lone.first, 1, lone.stride),), lone.across, units, interval or units)
    slots = []
    for place, number in enumerate(components):
        each = frame.components[number]
        for down in range(each.vertical):
            for across in range(each.horizontal):
                at = each.first + down * each.stride + across
                slots.append(Slot(place, at, each.horizontal, each.vertical * each.stride))
    if len(slots) > MAX_MCU:
        raise refused("a scan's MCU has more than ten blocks")
    wide, high = -(-frame.width // (8 * frame.widest)), -(-frame.height // (8 * frame.tallest))
    return Order(tuple(slots), wide, wide * high, interval or wide * high)


def of_scan(frame: Frame, scan: Scan) -> Order:
    """The order of a scan that was read. Raises OptionError when its restart markers do not fit."""
    found = order(frame, scan.components, scan.interval)
    if len(scan.starts) - 1 != -(-found.units // found.per):
        raise refused("its restart markers are missing or too many")
    return found
