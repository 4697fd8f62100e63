"""PNG files from canvases that know where anything was painted.

A canvas is one integer per pixel with a spare column of zeros on the right, which stands for the filter byte of the
next row: then the PNG's unfiltered bytes are the canvas read row by row, and a run of background goes on from row to
row. Values change only inside the rectangles that were painted (and one column to their right), so only those are
searched for the ends of runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.masks import deflate
from velum_pipeline.media.pngwriter import SIGNATURE, chunk

if TYPE_CHECKING:
    from velum_pipeline.regions import Region  # the ingress scales masks, and has not what regions are made with

GREY, RGB = 0, 2


@dataclass(frozen=True)
class Runs:
    """Where the values of a canvas change.

    Positions: int64 (R,), flat, ascending, the first 0; values: int64 (R,), from there on.
    """

    height: int
    width: int
    positions: NDArray[np.int64]
    values: NDArray[np.int64]


def runs(canvas: NDArray[np.uint16], regions: Iterable[Region]) -> Runs:
    """The runs of a canvas (H, W + 1) whose last column is zero.

    ``regions``: all that was painted lies in their rectangles.
    """
    stride = canvas.shape[1]
    found = [np.zeros(1, np.int64)]
    for region in regions:
        left, right = region.columns.start, region.columns.stop
        area = canvas[region.rows, left : right + 1]
        differs = np.empty(area.shape, np.bool_)
        np.not_equal(area[:, 1:], area[:, :-1], out=differs[:, 1:])
        np.not_equal(area[:, 0], canvas[region.rows, left - 1] if left else 0, out=differs[:, 0])
        rows, columns = np.divmod(np.flatnonzero(differs), area.shape[1])
        found.append((rows + region.y) * stride + columns + left)
    positions = np.unique(np.concatenate(found))
    positions = positions[positions < canvas.size - 1]  # the last spare pixel stands for a row that there is not
    return Runs(canvas.shape[0], stride - 1, positions, canvas.reshape(-1)[positions].astype(np.int64))


def encode(found: Runs, pixels: NDArray[np.int64]) -> bytes:
    """A PNG from runs. pixels: int64 (R, C), what each run shows, C = 1 for grey and 3 for RGB."""
    channels = pixels.shape[1]
    starts = 1 + _byte_offset(found.positions, found.width, channels)
    starts, pixels = np.concatenate([[0], starts]), np.concatenate([np.zeros((1, channels), np.int64), pixels])
    lengths = np.diff(starts, append=found.height * (1 + found.width * channels))
    colour = RGB if channels == 3 else GREY
    header = struct.pack(">IIBBBBB", found.width, found.height, 8, colour, 0, 0, 0)
    data = deflate.zlib_stream(starts, lengths, pixels)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _byte_offset(positions: NDArray[np.int64], width: int, channels: int) -> NDArray[np.int64]:
    """Where canvas positions lie in the unfiltered bytes, counted from the first row's first pixel."""
    rows, columns = np.divmod(positions, width + 1)
    return np.asarray(rows * (1 + width * channels) + columns * channels, np.int64)
