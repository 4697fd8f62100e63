"""What a splice wrote, decoded by another hand: libjpeg-turbo. A result that fails here is no result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from velum_pipeline.errors import MediaError, StageFailed
from velum_pipeline.media import jpeg
from velum_pipeline.media.picture import Picture
from velum_pipeline.media.splice import blocks
from velum_pipeline.media.splice.blocks import Grid, Patch
from velum_pipeline.media.splice.frame import Frame, Space
from velum_pipeline.media.splice.stored import stored_rectangle

DIRECT = {Space.GREY: (0,), Space.YCC: (0,), Space.RGB: (0, 1, 2), Space.CMYK: (0, 1, 2, 3), Space.YCCK: (3,)}
"""Components that a decoder shows as they are.

Chrominance goes through a conversion that cuts off what is no colour.
"""
ROWS = 64
"""Compared at once: what differs is listed pixel by pixel."""
ROUNDING = 8.0
"""Root of a block's squared error when each of its 64 samples is off by one: twice what rounding can do."""


def check(coded: bytes, frame: Frame, picture: Picture, patches: Sequence[Patch], grids: Sequence[Grid]) -> None:
    """Raise StageFailed unless the file shows the picture: exactly outside the touched blocks, closely inside."""
    try:
        again = jpeg.decode(coded)
    except MediaError as error:
        raise StageFailed(f"the splice wrote a file that does not decode: {error}") from None
    if again.native.shape != picture.native.shape:
        raise StageFailed("the splice wrote a picture of another size")
    for top in range(0, picture.height, ROWS):
        changed = again.native[top : top + ROWS] != picture.native[top : top + ROWS]
        rows, columns = np.nonzero(changed.any(axis=2) if changed.ndim == 3 else changed)
        if not _allowed(frame, picture, grids, columns, rows + top).all():
            raise StageFailed("the splice changed a pixel outside the blocks that it may change")
    _check_inside(coded, frame, picture, again, patches, grids)


def _allowed(
    frame: Frame, picture: Picture, grids: Sequence[Grid], columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether pixels, as displayed, are in a touched block, or next to one of a component of fewer samples.

    libjpeg smooths those over the edge of a block, by one pixel.
    """
    points = np.array([columns, rows]).T
    x, y = _points_stored(points, picture).T
    found = np.zeros(len(points), bool)
    open_ = np.arange(len(points))  # those that are not found yet: nearly all are found in their own block
    sides = [(0, 0), *((across, down) for across in (-1, 0, 1) for down in (-1, 0, 1) if across or down)]
    for across, down in sides:
        for component, grid in zip(frame.components, grids, strict=True):
            wide, high = blocks.size(frame, component)
            if (across and wide == 8) or (down and high == 8):
                continue
            column = np.clip((x[open_] + across) // wide, 0, grid.shape[1] - 1)
            row = np.clip((y[open_] + down) // high, 0, grid.shape[0] - 1)
            found[open_] = grid[row, column]
            open_ = open_[~found[open_]]
    return found


def _points_stored(points: NDArray[np.int64], picture: Picture) -> NDArray[np.int64]:
    """Points (n, 2) of the displayed picture in the stored one: each axis moves alone, or both change places."""
    turn, width, height = picture.encoding.orientation, picture.width, picture.height
    origin = stored_rectangle((0, 0, 1, 1), turn, width, height)[:2]
    right = stored_rectangle((1, 0, 1, 1), turn, width, height)[:2]
    below = stored_rectangle((0, 1, 1, 1), turn, width, height)[:2]
    turned = np.array([right, below]) - origin
    return np.asarray(points @ turned + origin)


def _check_inside(
    coded: bytes, frame: Frame, picture: Picture, again: Picture, patches: Sequence[Patch], grids: Sequence[Grid]
) -> None:
    """Compare touched blocks one by one: what quantisation can do to one is bounded by its table (Parseval)."""
    luminance = simplejpeg.decode_jpeg(coded, "GRAY") if frame.space is Space.YCC else None
    for area in blocks.areas(frame, picture, patches):
        x, y, across, down = area
        wanted = blocks.components(frame, picture, area)
        shown = blocks.components(frame, again, area) if luminance is None else luminance[y : y + down, x : x + across]
        for number in DIRECT[frame.space]:
            if blocks.size(frame, frame.components[number]) != (8, 8):
                continue
            high, wide = min(down, frame.height - y), min(across, frame.width - x)
            errors = np.zeros((down, across), np.float32)
            errors[:high, :wide] = np.square(shown[:high, :wide, number] - wanted[:high, :wide, number])
            sums = errors.reshape(down // 8, 8, across // 8, 8).sum(axis=(1, 3))
            marked = grids[number][y // 8 : (y + down) // 8, x // 8 : (x + across) // 8]
            steps = frame.quantisation[frame.components[number].table].astype(np.float64)
            if (sums[marked] > (np.sqrt(np.square(steps / 2).sum()) + ROUNDING) ** 2).any():
                raise StageFailed("the splice wrote a block that is not what redaction made")
