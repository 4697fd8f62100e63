"""Which windows of a picture the detectors look through: the contract's ``format``.

whole   one window.
grid    columns x rows cells, each grown by half the overlap on every inner side.
auto    whole up to AUTO_WHOLE pixels on the longer side; above it a grid of cells of at most AUTO_TILE pixels.
pano    an equirectangular picture: a grid of square cells whose columns close around the seam, where the picture's
        right edge continues at its left.

Wherever there is more than one window the undivided picture is looked at too, because an object larger than a cell is
seen whole in no cell; a panorama is looked at twice, cut open at the seam and opposite of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.spec import Split
from velum_pipeline.options import MAX_TILES, Tiling

AUTO_WHOLE = 1920
"""Full HD as a whole: the detectors' own limits of input size are about there, so cutting would add no detail."""
AUTO_TILE = 1280
"""The side that the detectors were measured at."""
AUTO_OVERLAP = 0.2
"""Of a cell: what is cut by one window's border and is smaller than 256 px lies whole in the neighbour."""


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture, pixels. In a panorama ``x + width`` may exceed the picture's width: around it."""

    x: int
    y: int
    width: int
    height: int

    def crop(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The window's pixels: a view of the picture, or a copy where it crosses the seam."""
        rows, x = picture[self.y : self.y + self.height], self.x % picture.shape[1]
        beyond = x + self.width - picture.shape[1]
        if beyond <= 0:
            return rows[:, x : x + self.width]
        return np.asarray(cv2.hconcat([rows[:, x:], rows[:, :beyond]]), np.uint8)

    def parts(self, split: Split | None) -> list[Window]:
        """The windows that a detector with this split looks through instead of this one."""
        longest = max(self.width, self.height)
        if split is None or longest <= split.above:
            return [self]
        side = math.ceil(longest / (split.windows - (split.windows - 1) * split.overlap))
        starts = np.linspace(0, longest - side, split.windows).round().astype(int).tolist()
        if self.width >= self.height:
            parts = [Window(self.x + start, self.y, side, self.height) for start in starts]
        else:
            parts = [Window(self.x, self.y + start, self.width, side) for start in starts]
        return [*parts, self] if split.whole else parts


@dataclass(frozen=True)
class Layout:
    """The windows of one picture; ``period`` is its width where the left and the right edge are neighbours."""

    windows: tuple[Window, ...]
    period: int | None = None


def layout(width: int, height: int, tiling: Tiling) -> Layout:
    """The windows for a picture of width x height pixels. Never empty; together they cover the picture."""
    whole = Window(0, 0, width, height)
    if tiling.mode == "pano":
        assert tiling.pano_width is not None  # noqa: S101 -- Tiling's own invariant, for the type checker
        return _panorama(width, height, math.ceil(tiling.pano_width / AUTO_TILE))
    if tiling.mode == "grid":
        return Layout(_grid(whole, tiling.columns, tiling.rows, tiling.overlap_x, tiling.overlap_y))
    if tiling.mode == "auto" and max(width, height) > AUTO_WHOLE:
        columns, rows = _auto_cells(width), _auto_cells(height)
        overlap_x, overlap_y = round(width / columns * AUTO_OVERLAP), round(height / rows * AUTO_OVERLAP)
        return Layout(_grid(whole, columns, rows, overlap_x, overlap_y))
    return Layout((whole,))


def _auto_cells(side: int) -> int:
    return min(math.ceil(side / AUTO_TILE), math.isqrt(MAX_TILES))


def _grid(whole: Window, columns: int, rows: int, overlap_x: int, overlap_y: int) -> tuple[Window, ...]:
    spans_x, spans_y = _spans(whole.width, columns, overlap_x), _spans(whole.height, rows, overlap_y)
    cells = [Window(x1, y1, x2 - x1, y2 - y1) for y1, y2 in spans_y for x1, x2 in spans_x]
    return tuple(dict.fromkeys([*cells, whole]))


def _spans(length: int, count: int, overlap: int) -> list[tuple[int, int]]:
    """``count`` equal spans of 0..length, neighbours sharing ``overlap`` pixels.

    Never more spans than pixels, and never more overlap than a span: it would only look at the same pixels again.
    """
    count = min(count, length)
    overlap = min(overlap, length // count)
    edges = [round(index * length / count) for index in range(count + 1)]
    before, after = overlap // 2, overlap - overlap // 2
    return [(max(0, start - before), min(length, end + after)) for start, end in pairwise(edges)]


def _panorama(width: int, height: int, columns: int) -> Layout:
    columns = min(columns, width)
    rows = max(1, round(columns * height / width))
    step = width / columns
    strip = min(width, math.ceil(step * (1 + AUTO_OVERLAP)))
    starts = [round(index * step) for index in range(columns)]
    spans = _spans(height, rows, round(height / rows * AUTO_OVERLAP))
    cells = [Window(x, y1, strip, y2 - y1) for y1, y2 in spans for x in starts]
    opened = [Window(0, 0, width, height), Window(width // 2, 0, width, height)]
    return Layout(tuple(dict.fromkeys([*cells, *opened])), period=width)
