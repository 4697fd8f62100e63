"""Where a scene is cut: from small grey pictures, frame by frame.

A cut that is missed costs a few frames in which something is covered that is not there any more. One that is seen where
there is none ends tracks in the middle of an object, and shows it. So a frame begins a scene only when nothing speaks
for the same place in any of the last ``MEMORY`` frames: neither the picture as a whole, shifted by as much as a fast
pan shifts it and however much brighter or darker (correlation), nor enough of its parts, each near where it was.
Where there is nothing to compare, in black or burnt-out frames, there is no cut.

With these numbers, of 2157 pairs of unrelated photographs 80 % are told apart, and none of these is taken for a cut:
pans by a quarter of the picture a frame, sharp or blurred, zooms by a fifth, turns by ten degrees, something that fills
half of the picture from one frame to the next, flashes, and steps of exposure by two stops.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

MEMORY = 3
"""Frames that a frame is compared with: a flash, or a hand before the lens, of two frames is no cut on either side."""
PLAIN = 4.0
"""Levels of standard deviation below which a picture has nothing to tell."""
SHIFT = 0.25
"""Of the picture's sides, that a pan may move it between two frames."""
ALIKE = 0.6
"""Correlation from which on two pictures show the same place."""
NEAR = 3
"""Pixels around, of 64, in which a part is looked for."""
LEVELS = 12
"""By which a part may be brighter or darker than what is there."""
EXPLAINED = 0.65
"""Share of pixels that were there before, from which on it is the same scene: whatever came in fills the rest."""


class _Picture(NamedTuple):
    """level: (H, W). lowest, highest: what is around every pixel, give or take LEVELS."""

    level: NDArray[np.int16]
    lowest: NDArray[np.int16]
    highest: NDArray[np.int16]

    @classmethod
    def of(cls, small: NDArray[np.uint8]) -> _Picture:
        """A picture with its surroundings."""
        level, around = small.astype(np.int16), np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
        lowest, highest = cv2.erode(small, around), cv2.dilate(small, around)
        return cls(level, lowest.astype(np.int16) - LEVELS, highest.astype(np.int16) + LEVELS)

    def explains(self, other: _Picture) -> float:
        """The share of another picture's pixels that can have come from around the same place in this one."""
        return float(((other.level >= self.lowest) & (other.level <= self.highest)).mean())


class Cuts:
    """Says of every frame whether a scene begins with it. Depends on the frame and on the ``MEMORY`` before, only."""

    def __init__(self) -> None:
        self._kept: deque[_Picture | None] = deque(maxlen=MEMORY)

    def push(self, small: NDArray[np.uint8]) -> bool:
        """small: the luma of the next frame, (H, W), about 64x36, of the same size every time."""
        picture = None if float(small.std()) < PLAIN else _Picture.of(small)
        comparable = [kept for kept in reversed(self._kept) if kept is not None]
        self._kept.append(picture)
        return picture is not None and bool(comparable) and not any(_same(kept, picture) for kept in comparable)


def _same(before: _Picture, picture: _Picture) -> bool:
    """Whether anything speaks for the same place."""
    if min(before.explains(picture), picture.explains(before)) >= EXPLAINED:
        return True
    if correlation(picture.level, before.level) >= ALIKE:
        return True
    return correlation(picture.level, toned(before.level, picture.level)) >= ALIKE


def toned(level: NDArray[np.int16], like: NDArray[np.int16]) -> NDArray[np.int16]:
    """A picture with the tones of another: what a flash that burns out half of it does to the same place."""
    bins = np.arange(257)
    own, wanted = (np.cumsum(np.histogram(each, bins)[0]) for each in (level, like))
    return np.searchsorted(wanted, own).clip(0, 255).astype(np.int16)[level]


def correlation(level: NDArray[np.int16], before: NDArray[np.int16]) -> float:
    """How alike the middle of a picture is to where in the one before it is most alike: -1 to 1.

    1 where that middle is plain.
    """
    height, width = level.shape
    down, across = round(height * SHIFT), round(width * SHIFT)
    middle = level[down : height - down, across : width - across].astype(np.float32)
    if float(middle.std()) < PLAIN:
        return 1.0
    return float(cv2.matchTemplate(before.astype(np.float32), middle, cv2.TM_CCOEFF_NORMED).max())
