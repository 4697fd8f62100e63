"""A region's cells: averaging what it shows into a few, and painting it with what is to be shown of them.

Pictures come as (H, W * C), so that a row is one run of samples whatever it has of channels. uint8 or uint16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled, inner
from velum_pipeline.media.picture import Samples

WHOLE = np.float32(255)
FULL = np.float32(1 / 255)
"""Of the strength. No product is larger than 65535 * 255, which float32 holds to the unit; so what has no strength
stays what it was, and what has full strength is the cover's value, rounded, whatever it was."""
HALF = np.float32(0.5)
SMOOTHSTEP = np.float32(3), np.float32(2)


@compiled
def averaged(
    picture: Samples, channels: int, x: int, y: int, strength: NDArray[np.uint8], outlined: bool, cells: tuple[int, int]
) -> NDArray[np.float32]:
    """Mean per cell of the rectangle from pixel (x, y) on that ``strength`` (h, w) covers.

    ``cells``: how many (across, down); float32 (down, across, C). Cells are whole pixels; the few columns and rows that
    are left over at the far edges are shown as the last cells, without counting in them. ``outlined``: of pixels with
    any strength only, so that no background mixes in; a cell without such pixels is 0.
    """
    across, down = cells
    wide, high = strength.shape[1] // across, strength.shape[0] // down
    means = np.empty((down, across, channels), np.float32)
    shown = np.empty(across * wide * channels, np.uint8)
    for cell_row in range(down):
        sums, counts = np.zeros(shown.size, np.int64), np.zeros(shown.size, np.int64)
        for row in range(cell_row * high, (cell_row + 1) * high):
            samples = picture[y + row, x * channels : x * channels + shown.size]
            if outlined:
                _spread(strength[row, : across * wide], channels, shown)
                _add_outlined(sums, counts, samples, shown)
            else:
                _add(sums, samples)
        for cell in range(across):
            for channel in range(channels):
                first, end = cell * wide * channels + channel, (cell + 1) * wide * channels
                total = _strided(sums, first, end, channels)
                count = max(_strided(counts, first, end, channels), 1) if outlined else high * wide
                means[cell_row, cell, channel] = total / count
    return means


@compiled
def paint(
    picture: Samples,
    channels: int,
    x: int,
    y: int,
    strength: NDArray[np.uint8],
    cells: NDArray[np.float32],
    smooth: bool,
) -> None:
    """Show cells, float32 (down, across, C), in the rectangle from pixel (x, y) on, by strength (h, w) / 255, in place.

    ``smooth``: from the middle of one cell to that of the next by smoothstep; else in blocks.
    """
    height, width = strength.shape
    columns, right = _between(width, cells.shape[1], smooth)
    rows, below = _between(height, cells.shape[0], smooth)
    lines = np.empty((cells.shape[0], width * channels), np.float32)
    for cell_row in range(cells.shape[0]):
        for column in range(width):
            first = columns[column]
            second = min(first + 1, cells.shape[1] - 1)
            for channel in range(channels):
                one, other = cells[cell_row, first, channel], cells[cell_row, second, channel]
                lines[cell_row, column * channels + channel] = one + (other - one) * right[column]
    weights = np.empty(width * channels, np.uint8)
    for row in range(height):
        samples = picture[y + row, x * channels : (x + width) * channels]
        _spread(strength[row], channels, weights)
        _blend(samples, lines[rows[row]], lines[min(rows[row] + 1, cells.shape[0] - 1)], below[row], weights)


@inner
def _between(length: int, cells: int, smooth: bool) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each pixel of an axis, the cell that it shows, and how much of the next."""
    first, share = np.zeros(length, np.int64), np.zeros(length, np.float32)
    for pixel in range(length):
        place = (pixel + 0.5) * cells / length
        if smooth:
            place = max(place - 0.5, 0.0)
            part = np.float32(place - int(place))
            share[pixel] = part * part * (SMOOTHSTEP[0] - SMOOTHSTEP[1] * part)
        first[pixel] = min(int(place), cells - 1)
    return first, share


@inner
def _spread(line: NDArray[np.uint8], channels: int, samples: NDArray[np.uint8]) -> None:
    """Give every sample of a row its pixel's value."""
    if channels == 3:  # written out, the compiler does many pixels at once
        for place in range(np.uint64(line.size)):  # unsigned: numba looks at every sign else
            first = np.uint64(3) * place
            samples[first] = line[place]
            samples[first + np.uint64(1)] = line[place]
            samples[first + np.uint64(2)] = line[place]
    else:
        for pixel in range(line.size):
            for sample in range(pixel * channels, (pixel + 1) * channels):
                samples[sample] = line[pixel]


@inner
def _blend(
    samples: Samples,
    above: NDArray[np.float32],
    below: NDArray[np.float32],
    share: np.float32,
    weights: NDArray[np.uint8],
) -> None:
    for sample in range(samples.size):
        weight = np.float32(weights[sample])
        cover = above[sample] + (below[sample] - above[sample]) * share
        kept = np.float32(samples[sample]) * (WHOLE - weight)
        samples[sample] = np.int32((kept + cover * weight) * FULL + HALF)


@inner
def _add(sums: NDArray[np.int64], samples: Samples) -> None:
    for sample in range(sums.size):
        sums[sample] += samples[sample]


@inner
def _add_outlined(
    sums: NDArray[np.int64], counts: NDArray[np.int64], samples: Samples, shown: NDArray[np.uint8]
) -> None:
    for sample in range(sums.size):
        own = np.int64(shown[sample] > 0)
        sums[sample] += samples[sample] * own
        counts[sample] += own


@inner
def _strided(values: NDArray[np.int64], first: int, end: int, step: int) -> int:
    total = 0
    for index in range(first, end, step):
        total += values[index]
    return total
