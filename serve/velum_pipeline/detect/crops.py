"""From an object's box to the square that an outline network sees, whatever the object's size and place.

The window is the box grown by a margin and stretched to S x S pixels; what lies outside the picture is grey. It is cut
at fractions of pixels: of an object 8 pixels high, a rounded window would be a tenth off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.tiles import Window
from velum_pipeline.detections import Floats

GREY = 114
"""What is shown outside the picture, as in training."""
MIN_SIDE = 1.0
"""Pixels of a box below which it is taken as so large: a window of no width shows nothing."""
FINE = 2
"""Where the window is larger than so many times the network's input, it is first reduced to that by averaging areas:
interpolating from it then still reads every pixel."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Crop:
    """A window of the picture, brought to ``side`` x ``side`` cells.

    ``origin``: the picture's coordinates (x, y) where cell (0, 0) begins; ``pitch``: pixels that a cell is wide and
    high.
    """

    origin: tuple[float, float]
    pitch: tuple[float, float]
    side: int

    @classmethod
    def around(cls, box: Floats, margin: float, side: int) -> Crop:
        """The window for a box (4,), pixels of the picture."""
        low, high = np.asarray(box[:2], np.float64), np.asarray(box[2:], np.float64)
        sides = np.maximum(high - low, MIN_SIDE)
        origin = (low + high) / 2 - sides * (0.5 + margin)
        pitch = sides * (1 + 2 * margin) / side
        return cls((float(origin[0]), float(origin[1])), (float(pitch[0]), float(pitch[1])), side)

    def pixels(self, picture: NDArray[np.uint8], period: int | None) -> NDArray[np.uint8]:
        """What the network sees: uint8 (S, S, 3), in the picture's order of colours.

        ``period``: the picture's width, if its sides are neighbours.
        """
        (x1, x2), (y1, y2) = self._span(0, picture.shape[1], period), self._span(1, picture.shape[0], None)
        canvas = np.full((self.side, self.side, 3), GREY, np.uint8)
        if x2 <= x1 or y2 <= y1:
            return canvas
        view = _reduced(Window(x1, y1, x2 - x1, y2 - y1).crop(picture), self.pitch)
        matrix = np.zeros((2, 3))
        for axis, (start, stop, length) in enumerate(((x1, x2, view.shape[1]), (y1, y2, view.shape[0]))):
            scale = length / (stop - start)
            matrix[axis, axis] = self.pitch[axis] * scale
            matrix[axis, 2] = (self.origin[axis] + self.pitch[axis] / 2 - start) * scale - 0.5
        cv2.warpAffine(
            view,
            matrix,
            (self.side, self.side),
            dst=canvas,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(GREY, GREY, GREY),
        )
        return canvas

    def _span(self, axis: int, length: int, period: int | None) -> Span:
        """The picture's pixels about the window along an axis; around a panorama, each at most once.

        One more on either side: interpolating at the window's edge must not take its neighbours for grey.
        """
        start = math.floor(self.origin[axis]) - 1
        stop = math.ceil(self.origin[axis] + self.side * self.pitch[axis]) + 1
        if period is not None:
            if stop - start > period:  # what is left out has to be the margin's ends: the middle is the object
                start = (start + stop - period) // 2
            return start, min(stop, start + period)
        return min(max(start, 0), length), min(max(stop, 0), length)


def _reduced(view: NDArray[np.uint8], pitch: tuple[float, float]) -> NDArray[np.uint8]:
    """The view, no larger than FINE pixels to a cell."""
    height, width = view.shape[:2]
    wanted = (math.ceil(width * min(1.0, FINE / pitch[0])), math.ceil(height * min(1.0, FINE / pitch[1])))
    if wanted == (width, height):
        return view
    return np.asarray(cv2.resize(view, wanted, interpolation=cv2.INTER_AREA), np.uint8)
