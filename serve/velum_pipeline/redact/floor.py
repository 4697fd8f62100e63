"""The privacy floor: how much of an object may survive, whatever a request asks.

A blur is a filter, and filters with known kernels can be inverted; published attacks read blurred faces and plates. So
nothing here filters. A region is averaged into a few cells, their brightness is rounded to LEVELS values, their colour
is replaced by one of a few tints, noise comes on top, and only that is shown, smoothly for ``blur`` and in blocks for
``pixelate``. What those cells do not hold cannot be got back from it.

The floor is set against the strongest attacker we know: one who has the originals of everybody it could be, reads this
file, runs it on each of them, and takes the likeliest (`hack/evaluate privacy`). Who the picture shows has to stay open
even then, and even when the same picture is published again and again. That decides each of the four steps:

* **Few cells.** They carry most. That attacker pairs 88 % of 320 faces with their originals by 3 x 3 brightnesses that
  are rounded to steps of 64, 16 % by 2 x 2, 3 % by 1 x 2. (People recognise a face at about 16 cells across, Harmon and
  Julesz 1973; a machine with a list of candidates does with far fewer.)
* **Rounding before noise.** Noise averages out over copies; what was rounded away before does not come back. Noise that
  comes first would dither: 2 x 2 cells in steps of 51, rounded after it, pair 9 % from one copy and 79 % from 64;
  rounded before it, 14 % and 24 %.
* **Tints.** The mean colour of a region, however roundly, doubles what its brightness tells. All that is kept of it is
  whether there is any (faces), nothing (plates), or "warm or cool" (persons, vehicles: seen a street away).
* **Noise**, drawn from a source that is thrown away, halves what one copy tells.

Cells are as long as they are wide or longer, so that an object that fills its box squarely, as a portrait or a
vehicle seen from behind does, has 2 x 2. Longer persons and vehicles keep more, because their outline tells more than
any filling: in a standing person the face is a seventh of the height, less than a cell; in a vehicle the plate is a
quarter of the width, half a cell.

A request's kernel is the size of what is shown: the blocks of ``pixelate``, and of cells once it asks for fewer than
the floor lets through. Blocks beyond the cells are interpolated and carry noise, not the object.

What this promises and what it does not is in docs/security.md.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.compiled import compiled, inner
from velum_pipeline.media.picture import Layout
from velum_pipeline.options import ClassOptions, ObjectClass

MAX_CELLS = {
    ObjectClass.FACE: (2, 2),
    ObjectClass.LICENSE_PLATE: (2, 1),
    ObjectClass.PERSON: (6, 2),
    ObjectClass.VEHICLE: (4, 2),
}
"""Cells along the longer and along the shorter side of the object's box, at most."""
MAX_BLOCKS = 8
"""Blocks along each side of a region that ``pixelate`` shows, at most; more would look like a picture of noise."""
MIN_CELL = 4.0
"""Pixels; below this a cell's average is nearly the pixel itself."""
LEVELS = 5
"""Values that a cell's brightness can take: black, white, and three between, 64 of 255 apart."""
NOISE = 0.4
"""Standard deviation, in steps between levels, of the noise that all cells of a region share and of that which each has
of its own: 25 of 255 grey levels each. With 0.3 the widest gradient pairs 17 of 100 faces, with 0.4 12."""
GRAIN = 0.12
"""Standard deviation, in steps, of the noise of each block that ``pixelate`` shows: 8 grey levels, so that blocks that
are interpolated from the same cells look like blocks."""
COLOURLESS = 0.012
"""Share of white that red and blue may differ from the brightness by in what counts as colourless: 3 of 255."""
LUMA = np.array([0.114, 0.587, 0.299], np.float32)
"""Weights of blue, green and red in brightness (ITU-R BT.601)."""
NEUTRAL = np.ones(3, np.float32)
SKIN = np.array([0.80, 0.95, 1.18], np.float32)
WARM = np.array([0.93, 0.98, 1.066], np.float32)
COOL = np.array([1.06, 1.00, 0.977], np.float32)
"""Tints: blue, green and red as multiples of the brightness; together they have the brightness 1. Faces are skin, what
covers half a street is hardly tinted."""
TINTS = {
    ObjectClass.FACE: np.stack([NEUTRAL, SKIN]),
    ObjectClass.LICENSE_PLATE: np.stack([NEUTRAL, NEUTRAL]),
    ObjectClass.PERSON: np.stack([NEUTRAL, WARM, COOL]),
    ObjectClass.VEHICLE: np.stack([NEUTRAL, WARM, COOL]),
}
"""What a region is tinted with: first what is colourless, then what is not; where that are two, the nearer one."""


def cells(
    object_class: ObjectClass, options: ClassOptions, box: tuple[float, float], region: tuple[int, int]
) -> tuple[int, int]:
    """How many cells (across, down) survive of a region (columns, rows) about an object whose box is (width, height).

    At least one, at most MAX_CELLS, and fewer where the region is but a part of the object, or where the kernel asks.
    """
    long, short = max(box), max(min(box), MIN_CELL)
    longer, shorter = MAX_CELLS[object_class]
    longer = max(1, min(longer, math.floor(shorter * long / short)))
    asked = max(_kernel(object_class, options, box), MIN_CELL)
    most = (longer, shorter) if box[0] > box[1] else (shorter, longer)
    across = _whole(region[0], max(asked, box[0] / most[0]), most[0])
    return across, _whole(region[1], max(asked, box[1] / most[1]), most[1])


def blocks(
    object_class: ObjectClass, options: ClassOptions, box: tuple[float, float], region: tuple[int, int]
) -> tuple[int, int]:
    """How many blocks (across, down) ``pixelate`` shows of a region: as many of the kernel's size as fit whole."""
    asked = max(_kernel(object_class, options, box), MIN_CELL)
    return _whole(region[0], asked, MAX_BLOCKS), _whole(region[1], asked, MAX_BLOCKS)


def _whole(pixels: int, edge: float, most: int) -> int:
    """How many cells of this edge fit whole; at least one."""
    return max(1, min(most, int(pixels / edge)))


def _kernel(object_class: ObjectClass, options: ClassOptions, box: tuple[float, float]) -> float:
    """Edge of what a request wants to see as one, in pixels.

    A relative kernel (faces, plates) is a share of the box's geometric mean side, so that a plate is not treated by its
    height alone; an absolute one (persons, vehicles) is the edge itself.
    """
    if object_class.relative_kernel:
        return options.kernel * math.sqrt(max(box[0], 1.0) * max(box[1], 1.0))
    return options.kernel


def disturb(
    means: NDArray[np.float32],
    layout: Layout,
    object_class: ObjectClass,
    white: float,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """What is shown of cells (down, across[, C]) with these means: rounded brightness, a tint, noise.

    ``white`` is the brightest sample, 255 or 65535. Float32, same shape, 0..white. Opacity is rounded and disturbed as
    brightness is, but by noise of its own: who knows the opacity, as of a cut-out nearly all of a face, would read the
    brightness's noise off it.
    """
    each = means.reshape(*means.shape[:2], -1)
    count = each.shape[0] * each.shape[1] + 1
    noise = random.standard_normal(2 * count if layout.has_alpha else count, np.float32)
    shown = np.empty_like(each)
    if layout is Layout.GREY:
        _round(each, 0, noise, white, shown)
        return shown.reshape(means.shape)
    _tint(each, noise, TINTS[object_class], layout is Layout.CMYK, white, shown)
    if layout.has_alpha:
        _round(each, 3, noise[count:], white, shown)
    return shown


def grain(
    shown: NDArray[np.float32], across: int, down: int, white: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Cells as disturbed, spread to across x down blocks with noise of their own; float32 (down, across, C)."""
    spread = np.asarray(cv2.resize(shown, (across, down), interpolation=cv2.INTER_LINEAR))
    noise = random.standard_normal((down, across, 1), np.float32) * np.float32(GRAIN * white / (LEVELS - 1))
    spread = spread.reshape(down, across, -1) + noise
    return np.asarray(np.minimum(np.maximum(spread, 0), np.float32(white)), np.float32)


@compiled
def _tint(
    means: NDArray[np.float32],
    noise: NDArray[np.float32],
    tints: NDArray[np.float32],
    inks: bool,
    white: float,
    shown: NDArray[np.float32],
) -> None:
    """Fill in the colours, or the inks, that are shown. ``noise``: a number for all cells, then one for each."""
    tint = tints[_nearest(means, tints, inks, white)]
    strongest = max(tint[0], tint[1], tint[2])
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            cell, light = means[row, column], 0.0
            for channel in range(3):
                light += LUMA[channel] * _colour(cell, channel, inks, white)
            light = _disturbed(light, noise[0] + noise[1 + row * means.shape[1] + column], white)
            light = min(light, white / strongest)  # a colour cut off is another colour
            for channel in range(3):
                # Of the inverted inks cyan, magenta, yellow and black, the first have the tint, black the brightness.
                shown[row, column, channel] = tint[2 - channel] * (white / strongest) if inks else light * tint[channel]
            if inks:
                shown[row, column, 3] = light * strongest


@compiled
def _round(
    means: NDArray[np.float32], channel: int, noise: NDArray[np.float32], white: float, shown: NDArray[np.float32]
) -> None:
    """Fill in one channel, rounded and disturbed. ``noise``: a number for all cells, then one for each."""
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            own = noise[0] + noise[1 + row * means.shape[1] + column]
            shown[row, column, channel] = _disturbed(means[row, column, channel], own, white)


@inner
def _disturbed(value: float, noise: float, white: float) -> float:
    """A brightness rounded to LEVELS, then disturbed by NOISE times the noise; 0..white."""
    step = white / (LEVELS - 1)
    return min(max((float(np.rint(value / step)) + noise * NOISE) * step, 0.0), white)


@inner
def _nearest(means: NDArray[np.float32], tints: NDArray[np.float32], inks: bool, white: float) -> int:
    """The row of the tint for a region, by the mean of its cells' colours."""
    mean = np.zeros(3, np.float64)
    for row in range(means.shape[0]):
        for column in range(means.shape[1]):
            for channel in range(3):
                mean[channel] += _colour(means[row, column], channel, inks, white) / (means.shape[0] * means.shape[1])
    brightness = LUMA[0] * mean[0] + LUMA[1] * mean[1] + LUMA[2] * mean[2]
    blueness, redness = mean[0] - brightness, mean[2] - brightness
    if max(abs(blueness), abs(redness)) < COLOURLESS * white:
        return 0
    nearest = 1
    for other in range(2, len(tints)):
        if blueness * (tints[other, 0] - tints[nearest, 0]) + redness * (tints[other, 2] - tints[nearest, 2]) > 0:
            nearest = other
    return nearest


@inner
def _colour(cell: NDArray[np.float32], channel: int, inks: bool, white: float) -> float:
    """Blue, green or red of a cell; of inks, which come as inverted cyan, magenta, yellow and black, multiplied out."""
    return float(cell[2 - channel]) * float(cell[3]) / white if inks else float(cell[channel])
