"""Between a picture as it is stored and as it is displayed.

Frames stay as they are stored, because the container's display matrix goes into the result as it was. Detectors see
them displayed, and all that is said of objects is said of the displayed picture, regions too; here those are taken back
to where their samples lie. Every turn maps pixels to pixels, so nothing is resampled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.regions import Region
from velum_pipeline.video.description import Turn

Pixels = NDArray[Any]
"""(H, W) or (H, W, C)."""
COUNTERCLOCKWISE = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
MIRROR = 1
"""cv2.flip's word for left-right."""


def displayed(pixels: Pixels, turn: Turn) -> Pixels:
    """Stored pixels as they are displayed; contiguous, and the same array where nothing is to be turned."""
    if turn.mirrored:
        pixels = cv2.flip(pixels, MIRROR)
    if turn.quarters:
        pixels = cv2.rotate(pixels, COUNTERCLOCKWISE[turn.quarters])
    return np.ascontiguousarray(pixels)


def displayed_view(pixels: Pixels, turn: Turn) -> Pixels:
    """The same without a copy: a view, for what reads but a part of it."""
    return np.rot90(pixels[:, ::-1] if turn.mirrored else pixels, turn.quarters)


def stored(pixels: Pixels, turn: Turn) -> Pixels:
    """The way back: displayed pixels as they are stored; contiguous, and the same array if nothing is to be turned."""
    if turn.quarters:
        pixels = cv2.rotate(pixels, COUNTERCLOCKWISE[4 - turn.quarters])
    if turn.mirrored:
        pixels = cv2.flip(pixels, MIRROR)
    return np.ascontiguousarray(pixels)


def stored_region(region: Region, turn: Turn, width: int, height: int) -> Region:
    """A region of the displayed picture as a region of the stored one, which is ``width`` x ``height``."""
    if not (turn.quarters or turn.mirrored):
        return region
    strength = stored(region.strength, turn)
    across, down = region.strength.shape[::-1]
    left, top = region.x, region.y
    if turn.quarters == 1:
        left, top = width - region.y - down, region.x
    elif turn.quarters == 2:
        left, top = width - region.x - across, height - region.y - down
    elif turn.quarters == 3:
        left, top = region.y, height - region.x - across
    if turn.mirrored:
        left = width - left - strength.shape[1]
    wide, high = region.object_width, region.object_height
    if turn.quarters % 2:
        wide, high = high, wide
    return replace(region, x=left, y=top, strength=strength, object_width=wide, object_height=high)
