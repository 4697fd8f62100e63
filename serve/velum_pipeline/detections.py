"""One value of arrays that flows through everything: detectors make it, regions, masks and metadata read it.

Rows are objects. Coordinates are pixels of the picture as displayed (after EXIF orientation), x to the right and y
down, with the origin at the outer corner of the upper left pixel: a box (0, 0, w, h) covers a w x h picture. Boxes may
reach over the picture's edge until ``clipped``. The row number after the last selection is the detection's id in
metadata and in the instance mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.options import ObjectClass

Floats: TypeAlias = NDArray[np.float32]

MIN_SEGMENT = 0.25
"""The share of an object's box below which a segment is a failed one.

Of 207 labelled persons the thinnest fills 0.31 of its box, of 47 vehicles all but one more than 0.32. A network that
marks less has lost a part of the object, and hiding the whole box costs nothing but looks.
"""
MAX_GAP = 0.2
"""The share of a box's side that may be left between it and its segment.

A box ends where its object does, give or take a tenth. Legs alone are more than a quarter of a person's box; what tells
that the head is missing is the empty space above them.
"""


@dataclass(frozen=True)
class Mask:
    """One object's segment: a bool array (h, w) whose upper left pixel lies at (x, y) of the displayed picture."""

    x: int
    y: int
    bits: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.bits.ndim != 2 or self.bits.dtype != np.bool_:
            raise ValueError(f"a mask is a 2-D bool array, got {self.bits.dtype} {self.bits.shape}")

    def plausible(self, box: Floats) -> bool:
        """Whether the segment can be the object in this box (4,): it marks at least MIN_SEGMENT of the box's pixels."""
        inside, (left, top, right, bottom) = self._within(box)
        marked = np.count_nonzero(inside)
        return bool(marked > 0 and marked >= MIN_SEGMENT * (right - left) * (bottom - top))

    def reaches(self, box: Floats) -> bool:
        """Whether the segment comes as near as MAX_GAP to each side of this box (4,), give or take a pixel."""
        inside, (left, top, right, bottom) = self._within(box)
        columns, rows = (np.flatnonzero(inside.any(axis=axis)) for axis in (0, 1))
        if not columns.size:
            return False
        across = max(columns[0] + max(left, 0) - left, right - max(left, 0) - columns[-1] - 1)
        down = max(rows[0] + max(top, 0) - top, bottom - max(top, 0) - rows[-1] - 1)
        return bool(across <= MAX_GAP * (right - left) + 1 and down <= MAX_GAP * (bottom - top) + 1)

    def _within(self, box: Floats) -> tuple[NDArray[np.bool_], tuple[int, int, int, int]]:
        """The segment's bits in a box, and where that box's pixels lie among the bits."""
        left, top = (np.floor(box[:2]).astype(int) - (self.x, self.y)).tolist()
        right, bottom = (np.ceil(box[2:]).astype(int) - (self.x, self.y)).tolist()
        return self.bits[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)], (left, top, right, bottom)

    def shifted(self, dx: int, dy: int) -> Mask:
        """The same segment, moved by whole pixels."""
        return Mask(self.x + dx, self.y + dy, self.bits)


Masks: TypeAlias = "tuple[Mask | None, ...] | None"


@dataclass(frozen=True)
class Detections:
    """N detected objects.

    boxes: float32 (N, 4), x1 y1 x2 y2. scores: float32 (N,), 0..1. classes: object array (N,) of ObjectClass (an object
    array, so that ``classes == ObjectClass.FACE`` selects rows and no table of numbers stands beside the enum).
    corners: float32 (N, 4, 2), clockwise from the object's own top left, NaN rows where unknown, or None when no row
    has them. masks: one Mask or None per row, or None for no masks.

    Raises ValueError when the shapes disagree or a box or score is not finite.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[Any]
    corners: Floats | None = None
    masks: Masks = None

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(self.scores, np.float32).reshape(-1)
        classes = as_classes(self.classes)
        if not len(boxes) == len(scores) == len(classes):
            raise ValueError(f"{len(boxes)} boxes, {len(scores)} scores, {len(classes)} classes")
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("boxes and scores must be finite")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "classes", classes)
        if self.corners is not None:
            corners = np.asarray(self.corners, np.float32)
            if corners.shape != (len(boxes), 4, 2):
                raise ValueError(f"corners must be ({len(boxes)}, 4, 2), got {corners.shape}")
            object.__setattr__(self, "corners", corners)
        if self.masks is not None and len(self.masks) != len(boxes):
            raise ValueError(f"{len(boxes)} boxes, {len(self.masks)} masks")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls) -> Detections:
        """No objects."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, object))

    @classmethod
    def concatenate(cls, parts: Iterable[Detections]) -> Detections:
        """The rows of all parts, in their order."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.classes for part in parts]),
            _joined_corners(parts),
            _joined_masks(parts),
        )

    def select(self, index: NDArray[Any] | Sequence[int] | slice) -> Detections:
        """The rows that an index array, a bool array (N,) or a slice names, in its order."""
        if isinstance(index, np.ndarray) and index.dtype == np.bool_ and len(index) == len(self) and index.all():
            return self
        rows = np.arange(len(self))[index if isinstance(index, slice) else _as_index(index)]
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            self.classes[rows],
            None if self.corners is None else self.corners[rows],
            None if self.masks is None else tuple(self.masks[row] for row in rows),
        )

    def _with_boxes(self, boxes: Floats) -> Detections:
        """The same objects in other boxes that are known to be finite: nothing is checked again."""
        moved: Detections = object.__new__(Detections)
        moved.__dict__.update(self.__dict__, boxes=boxes)
        return moved

    def shifted(self, dx: float, dy: float) -> Detections:
        """All coordinates moved by (dx, dy) pixels; masks move by the nearest whole pixel."""
        step = np.array([dx, dy], np.float32)
        return Detections(
            self.boxes + np.tile(step, 2),
            self.scores,
            self.classes,
            None if self.corners is None else self.corners + step,
            None if self.masks is None else tuple(m and m.shifted(round(dx), round(dy)) for m in self.masks),
        )

    def scaled(self, sx: float, sy: float) -> Detections:
        """All coordinates multiplied by (sx, sy), about the picture's origin.

        Masks are resampled to the nearest pixel.
        """
        factor = np.array([sx, sy], np.float32)
        return Detections(
            self.boxes * np.tile(factor, 2),
            self.scores,
            self.classes,
            None if self.corners is None else self.corners * factor,
            None if self.masks is None else tuple(m and _scaled_mask(m, sx, sy) for m in self.masks),
        )

    def clipped(self, width: float, height: float) -> Detections:
        """Boxes cut to a width x height picture.

        Rows that lie outside it altogether are dropped. Corners and masks stay as they are.
        """
        boxes = np.minimum(np.maximum(self.boxes, 0), np.array([width, height, width, height], np.float32))
        inside = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        return self._with_boxes(boxes).select(inside)

    def above(self, thresholds: Mapping[ObjectClass, float]) -> Detections:
        """The rows whose class has a threshold and whose score reaches it."""
        limits = np.array([thresholds.get(name, np.inf) for name in self.classes], np.float32)
        return self.select(self.scores >= limits)


def as_classes(values: Iterable[Any]) -> NDArray[Any]:
    """An object array of ObjectClass from any iterable of classes or their names.

    Raises ValueError for a name that is none.
    """
    values = list(values)
    classes = np.empty(len(values), object)
    classes[:] = [ObjectClass(value) for value in values]
    return classes


def _as_index(index: NDArray[Any] | Sequence[int]) -> NDArray[Any]:
    array = np.asarray(index)
    return array if array.size or array.dtype == np.bool_ else array.astype(np.intp)


def _joined_corners(parts: Sequence[Detections]) -> Floats | None:
    if all(part.corners is None for part in parts):
        return None
    unknown = [np.full((len(part), 4, 2), np.nan, np.float32) for part in parts]
    return np.concatenate([u if p.corners is None else p.corners for p, u in zip(parts, unknown, strict=True)])


def _joined_masks(parts: Sequence[Detections]) -> Masks:
    if all(part.masks is None for part in parts):
        return None
    return tuple(mask for part in parts for mask in (part.masks or (None,) * len(part)))


def _scaled_mask(mask: Mask, sx: float, sy: float) -> Mask:
    x1, y1 = round(mask.x * sx), round(mask.y * sy)
    height, width = mask.bits.shape
    x2, y2 = max(x1 + 1, round((mask.x + width) * sx)), max(y1 + 1, round((mask.y + height) * sy))
    columns = np.minimum(((np.arange(x2 - x1) + 0.5) / sx).astype(np.intp), width - 1)
    rows = np.minimum(((np.arange(y2 - y1) + 0.5) / sy).astype(np.intp), height - 1)
    return Mask(x1, y1, mask.bits[np.ix_(rows, columns)])
