"""Where ESNet's shuffles take each channel, found out beforehand instead of at every picture.

A stage begins with C channels. Each of its blocks works on the second half of them, makes C / 2 new ones of that and
interleaves these with the first half. So a channel stays where it is or moves outward until a block reads it, once,
or the stage ends. `plan` follows all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.detector.blocked.convolutions import BLOCK

Channel = tuple[int, int]
"""The block that made it, 0 for what the stage begins with, and its number among that block's outputs."""


@dataclass(frozen=True)
class Portion:
    """Channels of one block that one later block reads. ``reader``: its number, or the number of blocks + 1: none."""

    reader: int
    channels: tuple[int, ...]

    @property
    def fills(self) -> bool:
        """Whether a convolution of its own computes it without channels of zeros."""
        return len(self.channels) % BLOCK == 0


@dataclass(frozen=True)
class Plan:
    """A stage. made: of each block, the first being what the stage begins with, the portions of its outputs.

    read: of each block, and at the end of what leaves the stage, the channels in the order in which it has them.
    """

    made: Sequence[Sequence[Portion]]
    read: Sequence[Sequence[Channel]]

    def order(self, reader: int) -> list[Channel]:
        """What it reads, block by block: the portions as they are, one after the other."""
        return [
            (maker, channel)
            for maker, portions in enumerate(self.made[:reader])
            for portion in portions
            if portion.reader == reader
            for channel in portion.channels
        ]

    def columns(self, reader: int) -> list[int]:
        """The same as numbers of the channels with which the reader was trained."""
        number = {channel: place for place, channel in enumerate(self.read[reader - 1])}
        return [number[channel] for channel in self.order(reader)]


def plan(channels: int, blocks: int) -> Plan:
    """Follow the channels of a stage with so many blocks after the one that begins it."""
    half = channels // 2
    state: list[Channel] = [(0, number) for number in range(channels)]
    read: list[list[Channel]] = []
    for block in range(1, blocks + 1):
        read.append(state[half:])
        state = [each for pair in zip(state[:half], ((block, i) for i in range(half)), strict=True) for each in pair]
    read.append(state)
    reader = {channel: number for number, found in enumerate(read, 1) for channel in found}
    made = []
    for block in range(blocks + 1):
        portions: dict[int, list[int]] = {}
        for number in range(half if block else channels):
            portions.setdefault(reader[block, number], []).append(number)
        made.append([Portion(who, tuple(portions[who])) for who in sorted(portions)])
    return Plan(made, read)
