"""The privacy floor: how much of an object may survive, whatever a request asks.

A blur is a filter, and filters with known kernels can be inverted; published attacks read blurred faces and plates. So
nothing here filters. A region is averaged into a coarse grid of cells, the cells are disturbed and rounded, and only
they are shown, smoothly for ``blur`` and squarely for ``pixelate``. What a grid of cells does not hold cannot be got
back from it.

A request's kernel decides the size of a cell; the floor decides the smallest one. It has to hold for more than one
copy: the same object, published again from a re-run, a burst or a panorama, is averaged by another grid each time, and
a reconstruction from dozens of those resolves more than one grid does (least squares over 60 shifted grids of 8 cells
gave a recognisable face back, over 300 grids of 4 a smear). So the cells stay far below what recognition needs:

* A face is recognised by people at about 16 cells (Harmon and Julesz 1973) and by networks somewhat below; 4 is a
  quarter of that.
* A plate shows 5 to 8 characters side by side, and a character needs five cells to be read; 2 cells hold three or four
  characters each. Who knows font, box and method narrows 1000 candidates by 2 bits, with one copy or with eight
  (measured; 6 cells gave away 6 and 9).
* In a standing person the face is a seventh of the height; 16 cells leave it two. In a vehicle seen from behind the
  plate is a quarter of the width; 12 cells leave it three. A portrait is as wide as its face is high, so that neither
  may have more than 6 cells across.

What the floor does not do: hide that two pictures show the same scene. A few colours survive, enough to match 4 of 10
faces blurred at the defaults with their own photographs among 287 (measured; with 8 cells and less noise it was 9).
`blacken` leaves nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ClassOptions, ObjectClass

MAX_CELLS = {
    ObjectClass.FACE: 4,
    ObjectClass.LICENSE_PLATE: 2,
    ObjectClass.PERSON: 16,
    ObjectClass.VEHICLE: 12,
}
"""Cells along the longer side of the object's box, at most."""
MAX_CELLS_ACROSS = {
    ObjectClass.FACE: 4,
    ObjectClass.LICENSE_PLATE: 2,
    ObjectClass.PERSON: 6,
    ObjectClass.VEHICLE: 6,
}
"""Cells along the shorter side, at most."""
MIN_CELL = 4.0
"""Pixels; below this a cell's average is nearly the pixel itself."""
LEVELS = 16
"""Values that a cell can take per channel: rounding to 16 hides all but the broad tone."""
NOISE = 1.0
"""Standard deviation of what is added to a cell before rounding, in rounding steps.

The same for all channels of a cell, so that the channels of a grey thing are no further copies of it. Together with the
rounding itself (a step / sqrt(12)) one copy is off by 1.04 steps, 18 of 255 grey levels. Noise averages out: over n
copies with the same grid sqrt(n) times less is left, 4.4 levels of 16 copies and 1.1 of 256. It makes exact values
dear, it does not keep them secret; the small number of cells does the protecting.
"""


def cell_size(object_class: ObjectClass, options: ClassOptions, width: float, height: float) -> float:
    """Edge of a cell in pixels, for an object whose box is width x height pixels.

    A relative kernel (faces, plates) is a share of the box's geometric mean side, so that a plate is not treated by its
    height alone; an absolute one (persons, vehicles) is the edge itself. Never smaller than the floor.
    """
    asked = (
        options.kernel * math.sqrt(max(width, 1.0) * max(height, 1.0))
        if object_class.relative_kernel
        else options.kernel
    )
    long, short = max(width, height), min(width, height)
    return max(asked, long / MAX_CELLS[object_class], short / MAX_CELLS_ACROSS[object_class], MIN_CELL)


def grid(cell: float, columns: int, rows: int) -> tuple[int, int]:
    """How many cells (across, down) a region of columns x rows pixels is averaged into.

    As many as fit whole, at least one.
    """
    return max(1, math.floor(columns / cell)), max(1, math.floor(rows / cell))


def disturb(cells: NDArray[np.float32], white: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Cells (down, across[, C]) with noise added and rounded to LEVELS values between 0 and ``white`` (255 or 65535).

    Float32, same shape.
    """
    step = np.float32(white / (LEVELS - 1))
    noise = random.standard_normal(cells.shape[:2], np.float32)
    noise *= np.float32(NOISE)
    noisy = cells / step
    noisy += noise if cells.ndim == 2 else noise[..., None]
    np.rint(noisy, out=noisy)
    np.maximum(noisy, 0, out=noisy)
    np.minimum(noisy, LEVELS - 1, out=noisy)
    noisy *= step
    return noisy
