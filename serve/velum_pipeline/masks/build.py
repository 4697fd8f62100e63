"""Binary and instance masks, painted from regions (contract v1, "Masks").

A mask marks every pixel that anonymization touched at any strength, so what it leaves unmarked is the original. Both
masks respect ``ignores``, since regions do. At full size they are coded from their runs (png.py). Scaling picks every
pixel's nearest neighbour: an average of two type bits would be a third type.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from velum_pipeline.masks import png
from velum_pipeline.masks.scale import scaled, write

if TYPE_CHECKING:
    from velum_pipeline.regions import Region  # needs numba, which the ingress has not

INSTANCES = 255
"""Instance numbers are 1..255 and wrap; 0 is the background."""


def instance_number(detection: int) -> int:
    """The green value of a detection's pixels."""
    return detection % INSTANCES + 1


class Canvas:
    """Regions painted once, for both masks.

    Each pixel: the instance number in the low byte, the type bits in the high one.
    """

    def __init__(self, regions: Sequence[Region], width: int, height: int) -> None:
        self._canvas = np.zeros((height, width + 1), np.uint16)
        for region in regions:
            area = self._canvas[region.rows, region.columns]
            own = np.uint16(region.object_class.mask_bit << 8 | instance_number(region.detection))
            np.copyto(area, area & np.uint16(0xFF00) | own, where=region.strength > 0)
        self._runs = png.runs(self._canvas, regions)

    def binary(self, percent: int = 100) -> bytes:
        """An 8-bit grey PNG: 255 where anonymized, 0 elsewhere."""
        if percent != 100:
            return write((scaled(self._canvas[:, :-1], percent) != 0).astype(np.uint8) * 255)
        return png.encode(self._runs, np.where(self._runs.values, 255, 0)[:, None])

    def instance(self, percent: int = 100) -> bytes:
        """An RGB PNG.

        R 0, G the instance number (of the later detection where objects overlap), B the type bits, OR-ed.
        """
        if percent != 100:
            mask = scaled(self._canvas[:, :-1], percent)
            return write(np.stack([mask >> 8, mask & 255, np.zeros_like(mask)], axis=2).astype(np.uint8))
        values = self._runs.values
        return png.encode(self._runs, np.stack([np.zeros_like(values), values & 255, values >> 8], axis=1))
