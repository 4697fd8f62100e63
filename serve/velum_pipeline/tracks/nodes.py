"""The detections of one class in a window of frames, one row each, as arrays that links are columns of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections

Ids = NDArray[np.int64]
Boxes = NDArray[np.float64]
Flags = NDArray[np.bool_]
NONE = -1
"""In a column of links: there is none."""

ROW = np.dtype(
    [
        ("time", np.int64),  # the frame's ordinal
        ("box", np.float64, 4),
        ("scale", np.float64),  # pixels
        ("score", np.float32),
        ("strong", np.bool_),  # reaches its class's threshold
        ("row", np.int64),  # among the detections of its class in its frame
        ("near_before", np.int64),  # link to the look before
        ("near_after", np.int64),  # link to the next look
        ("rate", np.float64, 4),  # pixels a frame, of what ends here: by its near links backwards
        ("rated", np.bool_),
        ("wanted_before", np.int64),  # of what begins here: the best end to go on from
        ("wanted_after", np.int64),  # of what ends here: the best beginning to go on with, and at what cost
        ("wanted_cost", np.float64),
        ("doubt", np.bool_),  # whether the link to what is before may be between two objects
        ("parted", np.bool_),  # whether what it is linked to before is seen to be another object
        ("before", np.int64),  # the links in the end
        ("after", np.int64),
        ("since", np.int64),  # frames since the last strong detection along links
        ("hit", np.bool_),  # counts
        ("track", np.int64),
    ]
)
LINKS = ("near_before", "near_after", "wanted_before", "wanted_after", "before", "after")
FAR = 1 << 40
"""Longer than any video, in frames."""


@dataclass
class Edges:
    """Pairs of detections in neighbouring looks that may be one object.

    one, other: node ids (E,), by ``one``, then ``other``. rate: (E, 4) pixels a frame, per edge of the box.
    frames: between the looks.
    """

    one: Ids
    other: Ids
    rate: Boxes
    frames: int

    def moved(self, count: int) -> None:
        """The same after ``count`` nodes were forgotten."""
        self.one = self.one - count
        self.other = self.other - count


@dataclass
class Look:
    """A frame that was looked at and in which there is something of this class: nodes [first, stop).

    group: the frames that it stands for; scene: grows with every cut; found: (N,) what was found.
    """

    ordinal: int
    group: int
    scene: int
    first: int
    stop: int
    found: Detections
    edges: Edges | None = field(default=None)

    @property
    def ids(self) -> Ids:
        """Its nodes."""
        return np.arange(self.first, self.stop)


class Nodes:
    """Rows of ``ROW`` in the order of time; a node's id is its row, until older ones are forgotten."""

    def __init__(self) -> None:
        self._table = np.zeros(256, ROW)
        self._count = 0

    def __getitem__(self, column: str) -> Ids:
        """A column of whole numbers, to read and write; those of ``LINKS`` are ids."""
        return self._table[column]

    def flags(self, column: str) -> Flags:
        """A column of bools, to read and write."""
        return self._table[column]

    def floats(self, column: str) -> Boxes:
        """A column of fractions, to read and write."""
        return self._table[column]

    @property
    def boxes(self) -> Boxes:
        """Of all nodes (N, 4)."""
        return self.floats("box")

    def add(self, ordinal: int, found: Detections, strong: Flags) -> tuple[int, int]:
        """One look's detections. Returns the first of their ids and that after the last."""
        first, stop = self._count, self._count + len(found)
        if stop > len(self._table):
            self._table = np.concatenate([self._table, np.zeros(max(len(found), len(self._table)), ROW)])
        rows = self._table[first:stop]
        rows["time"], rows["score"], rows["strong"], rows["hit"] = ordinal, found.scores, strong, strong
        rows["box"] = found.boxes
        rows["scale"] = scales(found.boxes.astype(np.float64))
        rows["row"] = np.arange(len(found))
        rows["rated"] = rows["doubt"] = rows["parted"] = False
        rows["wanted_cost"] = np.inf
        rows["since"] = FAR
        rows["track"] = NONE
        for link in LINKS:
            rows[link] = NONE
        self._count = stop
        return first, stop

    def forget(self, count: int) -> None:
        """Drop the ``count`` oldest: all ids sink by so many."""
        kept = self._table[count : self._count].copy()
        for link in LINKS:
            kept[link] = np.maximum(kept[link] - count, NONE)
        self._table[: len(kept)] = kept
        self._count = len(kept)


def scales(boxes: Boxes) -> NDArray[np.float64]:
    """What a box's motion and its uncertainty are measured in: pixels, (N,) of (N, 4).

    The side of a square of its area, but no less than half the longer side: of a thing that the picture's edge cuts to
    a sliver, the longer side still tells how large it is.
    """
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    area: NDArray[np.float64] = np.sqrt(sides[:, 0] * sides[:, 1])
    return np.maximum(area, np.maximum(sides[:, 0], sides[:, 1]) / 2)
