"""Windows: a box grown by a margin and stretched to a square crop, grey outside the picture, as in the pipeline.

Coordinates are continuous: pixel i covers i to i + 1, a box's sides lie between pixels.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.crops import GREY, Crop

SIDE = 128
"""Of the crop, in cells."""
MARGIN = 0.15
"""Of the box's sides, added on each of them: a detector's box cuts off feet and mirrors."""
FEWEST = 1e-3
"""Pixels that a window is wide at least: a box may be empty, a division may not."""

Box = tuple[float, float, float, float]
Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Values = TypeVar("Values", bound=NDArray[Any])


def window(box: Box, margin: float = MARGIN) -> Box:
    """The box, grown."""
    x1, y1, x2, y2 = box
    across, down = margin * (x2 - x1), margin * (y2 - y1)
    return x1 - across, y1 - down, x2 + across, y2 + down


def onto(view: Box, side: int = SIDE) -> Matrix:
    """(2, 3): from continuous coordinates of the picture to those of the crop."""
    x1, y1, x2, y2 = view
    across, down = side / max(x2 - x1, FEWEST), side / max(y2 - y1, FEWEST)
    return np.array([[across, 0, -x1 * across], [0, down, -y1 * down]])


def centred(matrix: Matrix) -> Matrix:
    """The same map between the indices of pixels, as OpenCV wants it: index i stands for its centre, i + 0.5."""
    shifted = matrix.copy()
    shifted[:, 2] += 0.5 * (matrix[:, 0] + matrix[:, 1]) - 0.5
    return shifted


def warped(pixels: Pixels, matrix: Matrix, side: int = SIDE, fill: int = GREY) -> Pixels:
    """The crop: uint8 (side, side) or (side, side, C). ``matrix`` maps continuous coordinates, see ``onto``.

    What is reduced by more than half is averaged first: else a large picture's crop would be a sieve of it.
    """
    across, down = (max(1, int(1 / max(float(np.hypot(*matrix[:, axis])), FEWEST))) for axis in (0, 1))
    if max(across, down) > 1:
        height, width = pixels.shape[:2]
        size = max(1, width // across), max(1, height // down)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix * np.array([[width / size[0], height / size[1], 1.0]])
    return mapped(pixels, matrix, (side, side), fill)


def mapped(values: Values, matrix: Matrix, size: tuple[int, int], outside: float = 0) -> Values:
    """Values of the same type at this size (width, height), between pixels in proportion.

    ``matrix`` maps continuous coordinates of what is given to those of what is wanted, see ``onto``.
    """
    border = (outside, outside, outside)
    return cast(Values, cv2.warpAffine(values, centred(matrix), size, flags=cv2.INTER_LINEAR, borderValue=border))


def cut(pixels: Pixels, box: Box, side: int = SIDE, margin: float = MARGIN) -> Pixels:
    """The crop of a box, uint8 (side, side, 3), as the pipeline cuts it."""
    return Crop.around(np.array(box, np.float32), margin, side).pixels(pixels, None)


def pasted(
    values: NDArray[np.float32], box: Box, width: int, height: int, margin: float = MARGIN
) -> NDArray[np.float32]:
    """Values of a crop (side, side) brought to a width x height picture; outside the window they are the lowest."""
    side = len(values)
    back = np.asarray(cv2.invertAffineTransform(onto(window(box, margin), side)), np.float64)
    return mapped(values, back, (width, height), float(values.min()))
