"""Which blocks a changed pixel touches, and their coefficients made anew from the changed picture.

A block of a component covers as many pixels as its sampling makes it: a chroma block of a 4:2:0 picture 16 x 16. Each
component is looked at by itself, so luminance stays where only chrominance is touched. Every coefficient of a touched
block is replaced: nothing of the original is left in it. Outside, a decoder that smooths chrominance over the edge of
a touched block shows a quarter of the new chroma on the nearest row of pixels, and a quarter of the neighbour's chroma
on the nearest row inside: the neighbour has no pixel of a region, so what it lends is shown anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.picture import Picture
from velum_pipeline.media.splice.frame import Component, Frame, Space
from velum_pipeline.media.splice.layout import Store
from velum_pipeline.media.splice.stored import Rectangle, crop, stored, stored_rectangle

BAND = 480
"""Rows of pixels that are worked on at once; a multiple of every MCU's height."""
LARGEST = 1023
"""A coefficient of 8-bit samples has at most so many steps, either way (T.81, F.1.2.2)."""
ZIGZAG = np.array(
    sorted(range(64), key=lambda at: (at // 8 + at % 8, at // 8 if (at // 8 + at % 8) % 2 else at % 8)), np.intp
)
"""Index in a block of rows, by place in zigzag order (T.81, figure A.6)."""
COSINES = np.array(
    [[(0.5 if k else 0.125**0.5) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)],
    np.float32,
)
"""The eight-point DCT (T.81, A.3.3), orthonormal."""
YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)
"""From RGB (JFIF 1.02; BT.601)."""
Grid = NDArray[np.bool_]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Patch:
    """Pixels that changed, as displayed. x, y: the upper left one. mask: bool (h, w)."""

    x: int
    y: int
    mask: NDArray[np.bool_]


def touched(frame: Frame, picture: Picture, patches: Sequence[Patch]) -> list[Grid]:
    """For each component, which of its blocks hold a changed pixel, (rows, stride)."""
    grids = [np.zeros((each.rows, each.stride), bool) for each in frame.components]
    for patch in patches:
        x, y, _, _ = _area(patch, picture)
        mask = stored(patch.mask.view(np.uint8), picture.encoding.orientation)
        for component, grid in zip(frame.components, grids, strict=True):
            _mark(grid, mask, x, y, *size(frame, component))
    return grids


def replace(frame: Frame, store: Store, picture: Picture, patches: Sequence[Patch], grids: Sequence[Grid]) -> None:
    """Write the coefficients of touched blocks, made from the picture's samples, into the store."""
    for area in areas(frame, picture, patches):
        planes = components(frame, picture, area)
        for number, (component, grid) in enumerate(zip(frame.components, grids, strict=True)):
            wide, high = size(frame, component)
            top, left = area[1] // high, area[0] // wide
            made = _coefficients(frame, component, planes[..., number], wide // 8, high // 8)
            chosen = grid[top : top + made.shape[0], left : left + made.shape[1]]
            rows, columns = np.nonzero(chosen)
            store[component.first + (top + rows) * component.stride + left + columns] = made[rows, columns]


def empty_padding(frame: Frame, store: Store) -> None:
    """Leave nothing in the blocks that only fill up MCUs: no reader shows them, and a picture cut by its header may
    have pixels there. They go on with the mean of the last block that is shown, which costs fewest bits.
    """
    for each in frame.components:
        part = store[each.first : each.first + each.stride * each.rows].reshape(each.rows, each.stride, 64)
        for padding, edge in (
            (part[:, each.across :], part[:, each.across - 1 : each.across, 0]),
            (part[each.down :], part[each.down - 1 : each.down, :, 0]),
        ):
            padding[..., 1:] = 0
            padding[..., 0] = edge


def areas(frame: Frame, picture: Picture, patches: Sequence[Patch]) -> Iterator[Rectangle]:
    """Rectangles of whole MCUs of the stored picture that hold all patches, each at most BAND rows high."""
    wide, high = 8 * frame.widest, 8 * frame.tallest
    for patch in patches:
        x, y, across, down = _area(patch, picture)
        left, right = x // wide * wide, -(-(x + across) // wide) * wide
        bottom = -(-(y + down) // high) * high
        for top in range(y // high * high, bottom, BAND):
            yield left, top, right - left, min(BAND, bottom - top)


def components(frame: Frame, picture: Picture, area: Rectangle) -> Plane:
    """The picture's samples of a stored rectangle in the file's own components, float32 (h, w, components)."""
    native = crop(picture.native, area, picture.encoding.orientation).astype(np.float32)
    if frame.space is Space.GREY:
        return native[..., None]
    if frame.space is Space.RGB:
        return np.asarray(native[..., ::-1])
    if frame.space is Space.YCC:
        return _ycc(native[..., ::-1])
    if frame.space is Space.YCCK:
        return np.dstack((_ycc(255 - native[..., :3]), native[..., 3]))
    return native if frame.adobe is not None else 255 - native


def size(frame: Frame, component: Component) -> tuple[int, int]:
    """Width and height in pixels of what one block of a component covers."""
    return 8 * frame.widest // component.horizontal, 8 * frame.tallest // component.vertical


def _area(patch: Patch, picture: Picture) -> Rectangle:
    rectangle = (patch.x, patch.y, patch.mask.shape[1], patch.mask.shape[0])
    return stored_rectangle(rectangle, picture.encoding.orientation, picture.width, picture.height)


def _mark(grid: Grid, mask: NDArray[np.uint8], x: int, y: int, wide: int, high: int) -> None:
    """Mark the blocks of wide x high pixels in which the mask at (x, y) has a pixel."""
    left, top = x // wide, y // high
    columns = np.arange(left * wide, x + mask.shape[1], wide) - x
    rows = np.arange(top * high, y + mask.shape[0], high) - y
    across = np.maximum.reduceat(mask, np.maximum(columns, 0), axis=1)
    found = np.maximum.reduceat(across, np.maximum(rows, 0), axis=0)
    grid[top : top + len(rows), left : left + len(columns)] |= found > 0


def _ycc(rgb: Plane) -> Plane:
    made = rgb @ YCC.T
    made[..., 1:] += 128
    return made


def _coefficients(frame: Frame, component: Component, plane: Plane, across: int, down: int) -> Store:
    """Quantised coefficients (rows, columns, 64) of a plane whose samples are means of across x down pixels."""
    high, wide = plane.shape[0] // (8 * down), plane.shape[1] // (8 * across)
    means = plane.reshape(8 * high, down, 8 * wide, across).mean(axis=(1, 3)) - 128
    squares = means.reshape(high, 8, wide, 8).swapaxes(1, 2)
    transformed = (COSINES @ squares @ COSINES.T).reshape(high, wide, 64)[..., ZIGZAG]
    steps = np.rint(transformed / frame.quantisation[component.table])
    return np.asarray(np.clip(steps, -LARGEST - 1, LARGEST), np.int16)
