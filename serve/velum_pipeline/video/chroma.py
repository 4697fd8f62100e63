"""Which samples of chroma a region touches, and how strongly.

A sample of chroma is hidden as strongly as the most hidden pixel that it gives its colour to, so that what is fully
hidden has no colour of its own left. Of interlaced frames each field has lines of chroma of its own (ISO/IEC 13818-2,
6.1.1.8), which give colour to every second line of four; but players, and tools that a copy goes through, take such
frames for progressive too, so there two lines of chroma count for all four lines of luma.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled
from velum_pipeline.regions import Region
from velum_pipeline.video.description import Video
from velum_pipeline.video.planes import SUBSAMPLING

Placed: TypeAlias = tuple[int, int, NDArray[np.uint8]]
"""x, y of the upper left sample of a plane, and the strength from there on, uint8 (h, w)."""


def placed(region: Region, video: Video, interlaced: bool) -> list[Placed]:
    """The region of a stored picture in each of its planes."""
    luma = region.x, region.y, region.strength
    if video.pixel_format.startswith("gray"):
        return [luma]
    halved_across, halved_down = SUBSAMPLING[video.pixel_format]
    if not halved_across:
        return [luma] * 3
    fields = 2 if halved_down and interlaced else 1
    across, down = 2, 2 * fields if halved_down else 1
    strongest = _strongest(region.strength, region.x % across, region.y % down, across, down)
    left, top = region.x // across, region.y // down * fields
    if fields > 1:
        strongest = np.repeat(strongest, fields, axis=0)[: (video.height + 1) // 2 - top]
    return [luma, *[(left, top, strongest)] * 2]


@compiled
def _strongest(strength: NDArray[np.uint8], left: int, top: int, across: int, down: int) -> NDArray[np.uint8]:
    """The largest of each block of across x down, the first of which begin ``left`` and ``top`` before the array."""
    rows, columns = strength.shape
    wide, high = (left + columns + across - 1) // across, (top + rows + down - 1) // down
    found = np.zeros((high, wide), np.uint8)
    line = np.zeros(wide * across, np.uint8)
    for row in range(high):
        line[:] = 0
        for own in range(max(row * down - top, 0), min((row + 1) * down - top, rows)):
            for column in range(np.uint64(columns)):  # unsigned: numba looks at every sign else
                line[np.uint64(left) + column] = max(line[np.uint64(left) + column], strength[own, column])
        for column in range(wide):
            for beside in range(across):
                found[row, column] = max(found[row, column], line[column * across + beside])
    return found
