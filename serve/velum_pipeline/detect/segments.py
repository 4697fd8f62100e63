"""Outlines on their way into the picture, drawn only for the objects that are left in the end.

A row of candidates from a network with masks carries a *segment*: the pieces that networks saw of the object, each
through one window. Merging only passes pieces on; a mask the size of the object is made once, by ``drawn``.

What counts where several networks or windows saw one object: a piece with an outline has its say inside its own box and
knows nothing of what lies beyond it. So the pixels are the union of all outlines, and of what pieces without an outline
(boxes of another network, or an outline that failed) hold beyond the boxes of those with one. A pack of boxes beside a
pack of masks thus keeps the masks, and no edge that only the box covers is left to see. Of pieces from one network the
best stands for all, as among boxes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Floats, Mask

Bits = NDArray[np.bool_]
Span = tuple[int, int, int, int]
UNKNOWN = ""
"""The source of a box without an outline: which network it is from does not matter, one box is as good as another."""


class Outline(Protocol):
    """What can say which pixels are the object."""

    def settled(self, box: Floats) -> Outline:
        """The same inside this box (picture pixels), without holding on to the network's outputs."""

    def bits(self, x1: int, y1: int, x2: int, y2: int) -> Bits:
        """Bool (y2 - y1, x2 - x1) for these pixels of the picture."""


@dataclass(frozen=True)
class Piece:
    """What one network saw of one object through one window.

    box: float32 (4,), picture pixels; the outline's say ends there. source: the detector, by pack and name. turn:
    pixels by which the piece was moved around a panorama after it was seen. reach: float32 (4,), a box about ``box``
    into which the outline is drawn as well; that it may mark more there does not mean that the rest is not the object.
    """

    box: Floats
    source: str = UNKNOWN
    outline: Outline | None = None
    turn: int = 0
    reach: Floats | None = None

    @property
    def extent(self) -> Floats:
        """The box (4,) in which the piece may mark pixels."""
        return self.box if self.outline is None or self.reach is None else self.reach

    def turned(self, step: float) -> Piece:
        """The piece, moved to the right by whole turns of a panorama."""
        if step == 0:
            return self
        along = np.array([step, 0, step, 0], np.float32)
        reach = None if self.reach is None else self.reach + along
        return replace(self, box=self.box + along, turn=self.turn + round(step), reach=reach)

    def settled(self) -> Piece:
        """The piece, free of the network's outputs."""
        return self if self.outline is None else replace(self, outline=self.outline.settled(self.box))


Segment: TypeAlias = tuple[Piece, ...]
Segments: TypeAlias = "NDArray[Any] | None"
"""Object array (N,) of Segment or None per row; None when no row has one."""


def turned(segments: Segments, steps: NDArray[np.floating]) -> Segments:
    """All segments moved to the right by ``steps`` (N,) pixels, whole turns of a panorama."""
    if segments is None:
        return None
    return as_segments(
        segment and tuple(piece.turned(float(step)) for piece in segment)
        for segment, step in zip(segments, steps, strict=True)
    )


def settled(segments: Segments) -> Segments:
    """All segments, free of networks' outputs: the sums of prototypes are taken here, for the rows that are left."""
    if segments is None:
        return None
    return as_segments(segment and tuple(piece.settled() for piece in segment) for segment in segments)


def united(segments: Segments, boxes: Floats, rows: Sequence[int], steps: Sequence[float]) -> Segment | None:
    """The pieces of all these rows, which are parts of one object; None when none of them has an outline.

    ``steps``: pixels by which each row lies turned against the first.
    """
    if segments is None or not any(segments[row] for row in rows):
        return None
    pairs = zip(rows, steps, strict=True)
    return tuple(piece.turned(step) for row, step in pairs for piece in segments[row] or (Piece(boxes[row]),))


def absorbed(
    segments: Segments, boxes: Floats, rows: Sequence[int], steps: Sequence[float], further: Sequence[bool]
) -> Segment | None:
    """The segment of the first row when the others, best first, are the same object seen again.

    Only a network that has had no say yet adds its pieces, and a row that is ``further``: it shows more of the object.
    """
    if segments is None or not any(segments[row] for row in rows):
        return None
    pieces: Segment = ()
    for row, step, more in zip(rows, steps, further, strict=True):
        own: Segment = segments[row] or (Piece(boxes[row]),)
        if more or not {piece.source for piece in own} <= {piece.source for piece in pieces}:
            pieces += tuple(piece.turned(step) for piece in own)
    return pieces


def beyond(segment: Segment, start: float, stop: float) -> Segment:
    """What the pieces mark in the columns start..stop, each in a box that ends where its marks do.

    They are columns outside the object's box, where a piece without an outline says nothing.
    """
    return tuple(part for piece in segment if (part := _part(piece, start, stop)) is not None)


def _part(piece: Piece, start: float, stop: float) -> Piece | None:
    x1, x2 = math.floor(max(piece.extent[0], start)), math.ceil(min(piece.extent[2], stop))
    y1, y2 = math.floor(piece.extent[1]), math.ceil(piece.extent[3])
    if piece.outline is None or x2 <= x1 or y2 <= y1:
        return None
    bits = piece.outline.bits(x1 - piece.turn, y1, x2 - piece.turn, y2)
    columns, rows = (np.flatnonzero(bits.any(axis=axis)) for axis in (0, 1))
    if not columns.size:
        return None
    box = np.array([x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1], np.float32)
    return replace(piece, box=box, reach=None)


def drawn(segment: Segment | None, width: int, height: int) -> Mask | None:
    """The object's pixels in a width x height picture; None where no piece has an outline that can be right."""
    if segment is None:
        return None
    outlines = [_outline(piece, width, height) for piece in segment]
    if all(outline is None for outline in outlines):
        return None
    boxes = [_span(piece.box, width, height) for piece in segment]
    extents = [_span(piece.extent, width, height) for piece in segment]
    x1, y1 = min(span[0] for span in extents), min(span[1] for span in extents)
    x2, y2 = max(span[2] for span in extents), max(span[3] for span in extents)
    bits = np.zeros((y2 - y1, x2 - x1), np.bool_)
    for filled in (True, False):  # boxes first: inside its own box an outline decides
        for outline, (left, top, right, bottom) in zip(outlines, boxes, strict=True):
            if (outline is None) == filled:
                bits[top - y1 : bottom - y1, left - x1 : right - x1] = filled
    for outline in outlines:
        if outline is not None:
            part = bits[outline.y - y1 :, outline.x - x1 :][: outline.bits.shape[0], : outline.bits.shape[1]]
            np.logical_or(part, outline.bits, out=part)
    return Mask(x1, y1, bits)


def _outline(piece: Piece, width: int, height: int) -> Mask | None:
    """What the piece marks, if it can be the object in its box."""
    x1, y1, x2, y2 = _span(piece.extent, width, height)
    if piece.outline is None or x2 <= x1 or y2 <= y1:
        return None
    mask = Mask(x1, y1, piece.outline.bits(x1 - piece.turn, y1, x2 - piece.turn, y2))
    return mask if mask.plausible(np.array(_span(piece.box, width, height), np.float32)) else None


def _span(box: Floats, width: int, height: int) -> Span:
    """The pixels that a box touches, inside the picture."""
    x1, y1 = min(max(math.floor(box[0]), 0), width), min(max(math.floor(box[1]), 0), height)
    return x1, y1, max(min(math.ceil(box[2]), width), x1), max(min(math.ceil(box[3]), height), y1)


def as_segments(values: Iterable[Segment | None]) -> NDArray[Any]:
    """An object array of tuples, which numpy would otherwise take for one more axis."""
    values = list(values)
    segments = np.empty(len(values), object)
    for row, value in enumerate(values):
        segments[row] = value
    return segments
