"""A region.

The rectangle of the picture that one object's anonymization touches, with a strength for every pixel in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ClassOptions, ObjectClass


@dataclass(frozen=True)
class Region:
    """One object's pixels.

    detection: the row of the detection, which is its id. x, y: upper left pixel of the rectangle, inside the picture.
    strength: uint8 (h, w), 0 untouched to 255 fully anonymized. object_width, object_height: the detection's own size
    in pixels, before padding and clipping, which the privacy floor follows. segment: whether the strength follows an
    object's outline rather than a shape about its box.
    """

    detection: int
    object_class: ObjectClass
    options: ClassOptions
    x: int
    y: int
    strength: NDArray[np.uint8]
    object_width: float
    object_height: float
    segment: bool = False

    @property
    def rows(self) -> slice:
        """The rectangle's rows in the picture."""
        return slice(self.y, self.y + self.strength.shape[0])

    @property
    def columns(self) -> slice:
        """The rectangle's columns in the picture."""
        return slice(self.x, self.x + self.strength.shape[1])
