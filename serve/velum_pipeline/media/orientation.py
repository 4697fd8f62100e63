"""Turning stored samples upright, after the eight values of the EXIF Orientation tag (EXIF 2.32, 4.6.4 A, tag 274).

Pixels are stored upright in what we write and the tag says 1: then a reader that ignores the tag and one that honours
it show the same picture, and boxes, masks and metadata need no second coordinate system.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from velum_pipeline.media.picture import Samples

_TURNS: dict[int, Callable[[Samples], Samples]] = {
    2: lambda stored: cv2.flip(stored, 1),
    3: lambda stored: cv2.rotate(stored, cv2.ROTATE_180),
    4: lambda stored: cv2.flip(stored, 0),
    5: cv2.transpose,
    6: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_CLOCKWISE),
    7: lambda stored: cv2.transpose(cv2.rotate(stored, cv2.ROTATE_180)),
    8: lambda stored: cv2.rotate(stored, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


def upright(stored: Samples, orientation: int) -> Samples:
    """Samples as displayed. Values outside 2..8, which real files hold, mean upright already."""
    turn = _TURNS.get(orientation)
    return np.ascontiguousarray(turn(stored)) if turn else stored
