"""From planes to BGR in one compiled pass, for the formats in which FFmpeg has no fast way of its own.

Each sample of chroma counts for all the pixels that it covers. Planes come as (H, stride), BGR goes out as (H, W * 3),
so that a row is one run of samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled, inner

PLACES = 14
"""Binary places of the factors: the largest sum, of any depth and range, stays below 2 ** 24."""
HALF = np.int32(1 << PLACES - 1)
BLACK, WHITE = np.int32(0), np.int32(255)
SHIFT = np.int32(PLACES)


@compiled
def bgr(
    luma: NDArray[Any],
    cb: NDArray[Any],
    cr: NDArray[Any],
    halved_across: bool,
    halved_down: bool,
    factors: NDArray[np.int32],
    black: int,
    middle: int,
    out: NDArray[np.uint8],
) -> None:
    """Fill in blue, green and red.

    factors: of luma in all; of Cb in blue, of Cb and of Cr in what green loses, of Cr in red, times 2 ** PLACES.
    """
    width = out.shape[1] // 3
    tints = np.empty((3, width + 1), np.int32)
    for row in range(out.shape[0]):
        if not (halved_down and row % 2):
            line = row // 2 if halved_down else row
            _tint(cb[line], cr[line], halved_across, width, factors, np.int32(middle), tints)
        _mix(luma[row, :width], factors[0], np.int32(black), tints, out[row])


@compiled
def grey(luma: NDArray[Any], factors: NDArray[np.int32], black: int, out: NDArray[np.uint8]) -> None:
    """Fill in the brightness three times."""
    width = out.shape[1] // 3
    tints = np.zeros((3, width), np.int32)
    for row in range(out.shape[0]):
        _mix(luma[row, :width], factors[0], np.int32(black), tints, out[row])


@inner
def _tint(
    cb: NDArray[Any],
    cr: NDArray[Any],
    halved: bool,
    width: int,
    factors: NDArray[np.int32],
    middle: np.int32,
    tints: NDArray[np.int32],
) -> None:
    """What a line's chroma adds to each colour, for every pixel."""
    if halved:
        for place in range(np.uint64((width + 1) // 2)):  # unsigned: numba looks at every sign else
            blueness, redness = np.int32(cb[place]) - middle, np.int32(cr[place]) - middle
            first = np.uint64(2) * place
            second = first + np.uint64(1)
            tints[0, first] = tints[0, second] = factors[1] * blueness
            tints[1, first] = tints[1, second] = -factors[2] * blueness - factors[3] * redness
            tints[2, first] = tints[2, second] = factors[4] * redness
    else:
        for place in range(np.uint64(width)):
            blueness, redness = np.int32(cb[place]) - middle, np.int32(cr[place]) - middle
            tints[0, place] = factors[1] * blueness
            tints[1, place] = -factors[2] * blueness - factors[3] * redness
            tints[2, place] = factors[4] * redness


@inner
def _mix(
    luma: NDArray[Any], factor: np.int32, black: np.int32, tints: NDArray[np.int32], out: NDArray[np.uint8]
) -> None:
    for place in range(np.uint64(luma.size)):
        light = (np.int32(luma[place]) - black) * factor + HALF
        first = np.uint64(3) * place
        out[first] = min(max((light + tints[0, place]) >> SHIFT, BLACK), WHITE)
        out[first + np.uint64(1)] = min(max((light + tints[1, place]) >> SHIFT, BLACK), WHITE)
        out[first + np.uint64(2)] = min(max((light + tints[2, place]) >> SHIFT, BLACK), WHITE)
