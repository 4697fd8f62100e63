"""What the made clips show: shapes that move over a gradient, and the frame's number in blocks along the lower edge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 8
"""Blocks of the number, the highest bit first; as many frames can be told from each other as they have values."""
STRIP = 8
"""The blocks take one part in so many of the height."""
DARK, BRIGHT = 40, 215


def scene(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Frame ``number`` as BGR (height, width, 3)."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack(
        [
            60 + 120 * columns / width,
            60 + 120 * rows / height,
            150 - 60 * columns / width,
        ],
        axis=-1,
    ).astype(np.uint8)
    x, y = int(width * (0.2 + 0.6 * (number % 30) / 30)), int(height * (0.3 + 0.2 * np.sin(number / 5)))
    cv2.circle(picture, (x, y), height // 7, (70, 110, 210), -1, cv2.LINE_AA)
    left, upper = width - x - 12, height // 2
    cv2.rectangle(picture, (left, upper), (left + 24, upper + height // 5), (90, 180, 60), -1)
    top = height - height // STRIP
    for bit in range(BITS):
        on = number >> (BITS - 1 - bit) & 1
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        picture[top:, left:right] = BRIGHT if on else DARK
    return picture


def number(luma: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
    """The number of the frame that a luma plane (height, width) of 8 or 10 bits shows, as stored."""
    height, width = luma.shape
    scale = 4 if luma.dtype == np.uint16 else 1
    top = height - height // STRIP
    value = 0
    for bit in range(BITS):
        left, right = width * bit // BITS, width * (bit + 1) // BITS
        inner = luma[top + 2 : height - 1, left + (right - left) // 4 : right - (right - left) // 4]
        value = value << 1 | int(float(inner.mean()) / scale > (DARK + BRIGHT) / 2)
    return value
