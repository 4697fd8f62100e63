"""The privacy floor: how much of an object may survive, whatever a request asks.

A blur is a filter, and filters with known kernels can be inverted; published attacks read blurred faces and plates. So
nothing here filters. A region is averaged into a coarse grid of cells, the cells are disturbed and rounded, and only
they are shown, smoothly for ``blur`` and squarely for ``pixelate``. What a grid of cells does not hold cannot be got
back from it.

A request's kernel decides the size of a cell; the floor decides the smallest one, in cells across the object's longer
side:

* A face is recognised by people at about 16 cells (Harmon and Julesz 1973) and by networks somewhat below; 8 is half of
  that.
* A plate shows 5 to 8 characters side by side; 6 cells are at most about one per character, and a character needs five
  to be read.
* In a standing person the face is a seventh of the height; 16 cells leave it two. In a vehicle seen from behind the
  plate is a quarter of the width; 12 cells leave it three.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ClassOptions, ObjectClass

MAX_CELLS = {
    ObjectClass.FACE: 8,
    ObjectClass.LICENSE_PLATE: 6,
    ObjectClass.PERSON: 16,
    ObjectClass.VEHICLE: 12,
}
"""Cells along the longer side of the object's box, at most."""
MIN_CELL = 4.0
"""Pixels; below this a cell's average is nearly the pixel itself."""
LEVELS = 32
"""Values that a cell can take per channel: rounding to 32 hides all but the broad tone."""
NOISE = 0.5
"""Standard deviation of what is added to a cell before rounding, in rounding steps: no average over the cells, or over
several pictures of one scene, leads back to exact values cheaply."""


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
    return max(asked, max(width, height) / MAX_CELLS[object_class], MIN_CELL)


def grid(cell: float, columns: int, rows: int) -> tuple[int, int]:
    """How many cells (across, down) a region of columns x rows pixels is averaged into.

    As many as fit whole, at least one.
    """
    return max(1, math.floor(columns / cell)), max(1, math.floor(rows / cell))


def disturb(cells: NDArray[np.float32], white: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Cells with noise added and rounded to LEVELS values between 0 and ``white`` (255 or 65535).

    Float32, same shape.
    """
    step = np.float32(white / (LEVELS - 1))
    noisy = random.standard_normal(cells.shape, np.float32)
    noisy *= np.float32(NOISE)
    noisy += cells / step
    np.rint(noisy, out=noisy)
    np.maximum(noisy, 0, out=noisy)
    np.minimum(noisy, LEVELS - 1, out=noisy)
    noisy *= step
    return noisy
