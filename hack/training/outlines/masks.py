"""Masks as sets write them: polygons, or COCO's run lengths without compression, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from training.outlines.windows import Box, Matrix, Pixels, mapped

Bits = NDArray[np.bool_]
SUBPIXEL = 4
"""Binary digits of a polygon's corners below the pixel."""


def decoded(size: Sequence[int], counts: Sequence[int]) -> Bits:
    """(height, width) from run lengths, the first of them outside. Raises ValueError when they do not fill it."""
    height, width = size
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise ValueError(f"run lengths cover {sum(counts)} pixels of {width} x {height}")
    flat = np.zeros(height * width, np.bool_)
    ends = np.cumsum(counts)
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        flat[start:end] = True
    return flat.reshape(width, height).T


def encoded(mask: Bits) -> dict[str, list[int]]:
    """The run lengths of a mask (height, width)."""
    flat = mask.T.reshape(-1).astype(np.int8)
    changes = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    runs = [after - before for before, after in pairwise(changes)]
    return {"size": list(mask.shape), "counts": [0, *runs] if len(flat) and flat[0] else runs}


def filled(polygons: Sequence[Sequence[float]], matrix: Matrix, width: int, height: int) -> Pixels:
    """255 where any of the polygons lies, in a picture that ``matrix`` maps their continuous coordinates to."""
    mask = np.zeros((height, width), np.uint8)
    for flat in polygons:
        points = np.asarray(flat, np.float64).reshape(-1, 2) @ matrix[:, :2].T + matrix[:, 2] - 0.5
        cv2.fillPoly(mask, [np.round(points * (1 << SUBPIXEL)).astype(np.int32)], 255, shift=SUBPIXEL)
    return mask


def drawn(mask: object, width: int, height: int, matrix: Matrix, size: tuple[int, int]) -> Pixels:
    """A set's mask as uint8 0..255 of this size (width, height), which ``matrix`` maps the picture's coordinates to.

    Raises ValueError when it is neither polygons nor run lengths of the picture.
    """
    if isinstance(mask, Mapping):
        bits = decoded(mask["size"], mask["counts"])
        if bits.shape != (height, width):
            raise ValueError(f"mask of {bits.shape[1]} x {bits.shape[0]} in a picture of {width} x {height}")
        return placed(bits, matrix, size)
    if isinstance(mask, Sequence) and mask and all(isinstance(one, Sequence) and len(one) >= 6 for one in mask):
        return filled(mask, matrix, *size)
    raise ValueError("mask is neither polygons nor run lengths")


def placed(bits: Bits, matrix: Matrix, size: tuple[int, int]) -> Pixels:
    """A mask of the picture as uint8 0..255 of this size (width, height)."""
    return mapped(bits.astype(np.uint8) * np.uint8(255), matrix, size)


def box_of(mask: Pixels) -> Box | None:
    """The box of what is 128 or more; None where nothing is."""
    bits = mask >= 128
    columns, rows = np.flatnonzero(bits.any(0)), np.flatnonzero(bits.any(1))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
