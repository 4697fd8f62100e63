"""Where a scene is cut: from small grey pictures, frame by frame.

A cut that is missed costs a few frames in which something is covered that is not there any more. One that is seen where
there is none ends tracks in the middle of an object, and shows it. So a frame begins a scene only when nothing speaks
for the same place in any of the last ``MEMORY`` frames: neither the picture as a whole, shifted by as much as a fast
pan shifts it and however much brighter or darker (correlation), nor enough of its parts, each near where it was.
Where there is nothing to compare, in black or burnt-out frames, there is no cut.
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
ALIKE = 0.5
"""Correlation from which on two pictures show the same place."""
NEAR = 3
"""Pixels around, of 64, in which a part is looked for."""
LEVELS = 12
"""By which a part may be brighter or darker than what is there."""
EXPLAINED = 0.6
"""Share of pixels that were there before, from which on it is the same scene: whatever came in fills the rest."""


class _Kept(NamedTuple):
    picture: NDArray[np.float32]
    lowest: NDArray[np.uint8]
    highest: NDArray[np.uint8]


class Cuts:
    """Says of every frame whether a scene begins with it. Depends on the frame and on the ``MEMORY`` before, only."""

    def __init__(self) -> None:
        self._kept: deque[_Kept | None] = deque(maxlen=MEMORY)
        self._around = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)

    def push(self, small: NDArray[np.uint8]) -> bool:
        """small: the luma of the next frame, (H, W), about 64x36, of the same size every time."""
        plain = float(small.std()) < PLAIN
        comparable = [kept for kept in self._kept if kept is not None]
        cut = not plain and bool(comparable) and not any(self._same(small, kept) for kept in reversed(comparable))
        lowest, highest = cv2.erode(small, self._around), cv2.dilate(small, self._around)
        kept = _Kept(small.astype(np.float32), lowest.astype(np.uint8), highest.astype(np.uint8))
        self._kept.append(None if plain else kept)
        return cut

    def _same(self, small: NDArray[np.uint8], kept: _Kept) -> bool:
        level = small.astype(np.int16)
        there = (level + LEVELS >= kept.lowest) & (level - LEVELS <= kept.highest)
        return float(there.mean()) >= EXPLAINED or correlation(small, kept.picture) >= ALIKE


def correlation(small: NDArray[np.uint8], before: NDArray[np.float32]) -> float:
    """How alike the middle of a picture is to where in the one before it is most alike: -1 to 1."""
    height, width = small.shape
    down, across = round(height * SHIFT), round(width * SHIFT)
    middle = small[down : height - down, across : width - across].astype(np.float32)
    return float(cv2.matchTemplate(before, middle, cv2.TM_CCOEFF_NORMED).max())
