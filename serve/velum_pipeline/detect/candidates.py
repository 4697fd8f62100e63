"""Boxes on their way from a network's output to the picture: one class, one value of arrays.

Decoders make candidates in pixels of the network's input; components move them into the picture and mark which sides
were cut by the border of the window they were seen through; merging joins the windows. Only then do they become
Detections, which promise finite numbers and mixed classes. Corners are always present here (NaN where unknown), so that
no step has two cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.arrays import Array, namespace
from velum_pipeline.detect.corners import believed
from velum_pipeline.detect.segments import Segments, as_segments
from velum_pipeline.detections import Floats

Bools = NDArray[np.bool_]

MAX_CANDIDATES = 3000
"""Candidates kept per class and view, best first.

A threshold of 0 asks for every cell of the network (34,000 for YuNet at 1280x1280); suppression is quadratic. The most
crowded pictures of WIDER FACE hold about 2,000 faces, so the limit cuts noise, never people.
"""


@dataclass(frozen=True)
class Candidates:
    """N boxes of one class.

    boxes: float32 (N, 4) x1 y1 x2 y2. scores: float32 (N,). corners: float32 (N, 4, 2), NaN rows where unknown.
    cut: bool (N, 4), whether the left, top, right, bottom side lies on a window's border inside the picture, so that
    the object may go on behind it. joined: bool (N,), whether the box was put together from such parts. segments:
    what networks with masks have to say, see there; in a decoder's answer the outlines themselves, which are not in
    the picture yet.
    """

    boxes: Floats
    scores: Floats
    corners: Floats
    cut: Bools
    joined: Bools
    segments: Segments = None

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def of(cls, boxes: Floats, scores: Floats, corners: Floats | None = None, cut: Bools | None = None) -> Candidates:
        """Candidates of any float dtype, none joined; absent corners are unknown, absent cut flags are false."""
        count = len(boxes)
        return cls(
            np.asarray(boxes, np.float32).reshape(count, 4),
            np.asarray(scores, np.float32).reshape(count),
            np.full((count, 4, 2), np.nan, np.float32) if corners is None else np.asarray(corners, np.float32),
            np.zeros((count, 4), np.bool_) if cut is None else np.asarray(cut, np.bool_),
            np.zeros(count, np.bool_),
        )

    @classmethod
    def empty(cls) -> Candidates:
        """No candidates."""
        return cls.of(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 4, 2), np.float32))

    @classmethod
    def concatenate(cls, parts: Iterable[Candidates]) -> Candidates:
        """The rows of all parts, in their order."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.cut for part in parts]),
            np.concatenate([part.joined for part in parts]),
            _all_segments(parts),
        )

    def select(self, index: NDArray[Any]) -> Candidates:
        """The rows that an index or bool array names."""
        return Candidates(
            self.boxes[index],
            self.scores[index],
            self.corners[index],
            self.cut[index],
            self.joined[index],
            None if self.segments is None else self.segments[index],
        )

    def moved(self, scale: tuple[float, float], offset: tuple[float, float]) -> Candidates:
        """Boxes and corners as ``x * scale + offset``."""
        factor, step = np.array(scale, np.float32), np.array(offset, np.float32)
        boxes = self.boxes * np.tile(factor, 2) + np.tile(step, 2)
        return replace(self, boxes=boxes, corners=self.corners * factor + step)

    def order(self) -> NDArray[np.intp]:
        """Row numbers, best first; equal scores by position, so that the order never depends on who came first."""
        x1, y1, x2, y2 = self.boxes.T
        return np.lexsort((y2, x2, y1, x1, -self.scores))

    def ordered(self) -> Candidates:
        """The rows in their order."""
        return self.select(self.order())


def _all_segments(parts: Sequence[Candidates]) -> Segments:
    if all(part.segments is None for part in parts):
        return None
    return as_segments(
        segment for part in parts for segment in (part.segments if part.segments is not None else [None] * len(part))
    )


def promising(scores: Array, floor: float) -> tuple[Array, int]:
    """Rows of (M,) scores at or above ``floor``, at most MAX_CANDIDATES, best first; and how many were not finite.

    The rows are an array of the scores' own kind.
    """
    xp = namespace(scores)
    finite = xp.isfinite(scores)
    (rows,) = xp.nonzero(finite & (scores >= floor))
    rows = rows[xp.argsort(-scores[rows], stable=True)[:MAX_CANDIDATES]]
    return rows, int(scores.shape[0] - xp.count_nonzero(finite))


def usable(
    boxes: Floats, scores: Floats, corners: Floats | None = None, segments: Segments = None
) -> tuple[Candidates, int]:
    """Candidates of the rows with finite numbers and a positive area; and how many rows were not finite.

    A row whose corners alone cannot be believed keeps its box: a box without corners still covers the plate.
    """
    boxes = np.asarray(boxes, np.float32)  # the dtype first: what float32 cannot hold is not finite
    finite = np.isfinite(boxes).all(axis=1)
    solid = finite & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if corners is not None:
        corners = believed(np.asarray(corners, np.float32), boxes)
    found = replace(Candidates.of(boxes, scores, corners), segments=segments)
    return found.select(solid), int(np.count_nonzero(~finite))
