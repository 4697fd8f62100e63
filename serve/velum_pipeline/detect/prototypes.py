"""Masks from prototypes (Bolya et al. 2019, "YOLACT: Real-time Instance Segmentation", arXiv 1904.02689).

A network gives K prototype maps for the whole input, (K, H/s, W/s), and K coefficients per box. An object's mask is
sigmoid(sum over k of coefficient * prototype), cut to its box, where it exceeds 0.5: that is where the sum, the logit,
is positive. The logit is smooth and the mask is not, so the logit is what is brought to the picture's size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.arrays import Array, host_floats
from velum_pipeline.detections import Floats

BAND_PIXELS = 1 << 20
"""Pixels of a mask that are interpolated at once: 4 MiB of float32, whatever the object's size."""


@dataclass(frozen=True)
class Sketch:
    """An object's outline as its network gave it: prototypes (K, h, w), and coefficients (K,) on the same device.

    A cell of the prototypes is ``stride`` pixels of the network's input wide, and input coordinates come into the
    picture as ``x * scale + offset`` (x, y). The sketch keeps all prototypes of its view alive: settle it soon.
    """

    prototypes: Array
    coefficients: Array
    stride: float
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def settled(self, box: Floats) -> LogitMap:
        """The logits of the cells about a box (4,) of the picture, in main memory."""
        height, width = self.prototypes.shape[1:]
        x1, x2 = self._cells(float(box[0]), float(box[2]), 0, width)
        y1, y2 = self._cells(float(box[1]), float(box[3]), 1, height)
        cells = self.prototypes[:, y1:y2, x1:x2]
        logits = self.coefficients @ cells.reshape(cells.shape[0], -1)
        return LogitMap(
            host_floats(logits).reshape(y2 - y1, x2 - x1),
            (x1 * self.stride * self.scale[0] + self.offset[0], y1 * self.stride * self.scale[1] + self.offset[1]),
            (self.stride * self.scale[0], self.stride * self.scale[1]),
        )

    def bits(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
        """As of the settled outline."""
        return self.settled(np.array([x1, y1, x2, y2], np.float32)).bits(x1, y1, x2, y2)

    def _cells(self, low: float, high: float, axis: int, count: int) -> tuple[int, int]:
        """The cells whose centres lie about low..high of the picture, and one more on either side."""
        pitch = self.stride * self.scale[axis]
        first, last = ((value - self.offset[axis]) / pitch - 0.5 for value in (low, high))
        start = min(max(math.floor(first), 0), count - 1)
        return start, min(max(math.ceil(last) + 1, start + 1), count)


@dataclass(frozen=True)
class LogitMap:
    """Logits (h, w) of one object. Cell (0, 0) begins at ``origin`` and is ``pitch`` pixels of the picture (x, y)."""

    logits: Floats
    origin: tuple[float, float]
    pitch: tuple[float, float]

    def settled(self, box: Floats) -> LogitMap:
        """Itself."""
        del box
        return self

    def bits(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
        """Whether the logit, interpolated linearly at the pixels' centres, is positive; bool (y2 - y1, x2 - x1).

        Beyond the outermost centres of cells the logit stays as it is there. What is not finite is not positive.
        """
        left, right, across = _between(x1, x2, self.origin[0], self.pitch[0], self.logits.shape[1])
        upper, lower, down = _between(y1, y2, self.origin[1], self.pitch[1], self.logits.shape[0])
        bits = np.empty((y2 - y1, x2 - x1), np.bool_)
        with np.errstate(invalid="ignore"):
            widened = self.logits[:, left] * (1 - across) + self.logits[:, right] * across
            band = max(1, BAND_PIXELS // max(x2 - x1, 1))
            for start in range(0, y2 - y1, band):
                rows = slice(start, start + band)
                share = down[rows, None]
                logits = widened[upper[rows]] * (1 - share) + widened[lower[rows]] * share
                np.greater(logits, 0, out=bits[rows])
        return bits


def _between(
    start: int, stop: int, origin: float, pitch: float, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """For the pixels start..stop of one axis: the cells before and after their centres, and the share of the latter."""
    place = np.clip((np.arange(start, stop) + 0.5 - origin) / pitch - 0.5, 0, count - 1)
    before = np.minimum(place.astype(np.intp), max(count - 2, 0))
    return before, np.minimum(before + 1, count - 1), (place - before).astype(np.float32)
