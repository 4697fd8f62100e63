"""Smooth paths through a picture: where an object is and how large, at any time of its life."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

SPEED = (0.6, 6.0)
"""Pixels per frame at 1280 pixels' width: from somebody who stands about to a cyclist across the street."""
SWAY = 0.015
"""Of the picture's height: how far a path swings about its line."""


class Motion(StrEnum):
    """How an object moves."""

    CROSS = "cross"
    """In at one side, towards the other."""
    APPROACH = "approach"
    """Towards the camera: grows by half of its size or more."""
    WANDER = "wander"
    """About one place."""


@dataclass(frozen=True)
class Path:
    """start, stop: frames [start, stop). line: position (x, y) at start and its step per frame. swing: (amplitude x,
    amplitude y, period in frames, phase). sizes: at the first and after the last frame, in pixels."""

    start: int
    stop: int
    line: tuple[float, float, float, float]
    swing: tuple[float, float, float, float]
    sizes: tuple[float, float]

    def at(self, frame: float) -> tuple[float, float, float]:
        """The centre (x, y) and the size at a time in frames; between frames for motion blur."""
        passed = frame - self.start
        x, y, dx, dy = self.line
        across, down, period, phase = self.swing
        turn = 2 * np.pi * passed / period + phase
        share = passed / max(1, self.stop - self.start)
        size = self.sizes[0] ** (1 - share) * self.sizes[1] ** share
        return float(x + dx * passed + across * np.sin(turn)), float(y + dy * passed + down * np.cos(1.3 * turn)), size


def draw(
    random: np.random.Generator, motion: Motion, size: float, frames: int, picture: tuple[int, int], lane: float
) -> Path:
    """A path through a picture of (width, height) and so many frames. lane: 0..1, its height in the picture."""
    width, height = picture
    amount = SWAY * height * random.uniform(0.3, 1.0)
    swing = (amount, amount / 2, random.uniform(50, 110), random.uniform(0, 2 * np.pi))
    y = height * (0.15 + 0.7 * lane)
    speed = float(np.exp(random.uniform(*np.log(SPEED)))) * width / 1280
    if motion is Motion.CROSS:
        right = random.random() < 0.5
        first = int(random.integers(0, max(1, frames // 3)))
        # half of them come in over the edge, the others are there when the clip begins
        x = -size if right else width + size
        if random.random() < 0.5:
            first, x = 0, random.uniform(0.1, 0.9) * width
        return Path(first, frames, (x, y, speed if right else -speed, random.uniform(-0.2, 0.2)), swing, (size, size))
    start, stop = _life(random, frames)
    x, drift = random.uniform(0.08, 0.92) * width, random.uniform(-0.5, 0.5) * speed
    if motion is Motion.APPROACH:
        low = size / random.uniform(1.2, 1.6)
        return Path(start, stop, (x, y, drift, random.uniform(0, 0.3)), swing, (low, size * size / low))
    wide = (3 * swing[0], swing[1], swing[2], swing[3])
    return Path(start, stop, (x, y, drift / 4, 0.0), wide, (size, size))


def _life(random: np.random.Generator, frames: int) -> tuple[int, int]:
    """At least half of the clip; a third of the lives last from end to end."""
    if random.random() < 1 / 3:
        return 0, frames
    length = int(random.integers(frames // 2, frames + 1))
    start = int(random.integers(0, frames - length + 1))
    return start, start + length


def spread(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Lanes 0..1 for so many objects, in random order, as far from each other as can be."""
    return random.permutation((np.arange(count) + random.uniform(0.2, 0.8)) / max(1, count))
