"""Outlines for objects whose boxes are final: a network that sees one object at a time and marks its pixels.

It runs last, on what is left after all looks were fused, so that its cost is that of the objects in the picture. An
object about which it says nothing, or numbers that are not finite, keeps its box, which hides more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.arrays import host_floats
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.crops import Crop
from velum_pipeline.detect.errors import DetectionFailed, ModelInvalid
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.outlinespec import OutlineSpec
from velum_pipeline.detect.prototypes import LogitMap
from velum_pipeline.detect.segments import Piece, as_segments
from velum_pipeline.detect.session import Network, Runtime
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

MAX_OUTLINES = 1000
"""Per picture and class, the most certain first. A threshold of 0 gives thousands of boxes, of which most are nothing,
and a crowd of more is hidden by its boxes."""


@dataclass(frozen=True)
class Outlined:
    """Candidates with the segments that could be drawn, and how many of the network's numbers were not finite."""

    candidates: Candidates
    non_finite: int = 0


class Outliner:
    """One outline network, ready to run. Immutable, shared by threads. ``pack``: whose it is."""

    def __init__(self, spec: OutlineSpec, session: Network, runtime: Runtime, pack: str = "") -> None:
        self.spec = spec
        self._source = f"{pack}/{spec.name}"
        self._session = session
        self._batch = max(1, runtime.batch_pixels // spec.side**2) if session.batches else 1

    @classmethod
    def load(cls, spec: OutlineSpec, model: bytes, runtime: Runtime) -> Outliner:
        """An outliner with a session of its own. Raises ModelInvalid."""
        return cls(spec, open_session(spec, model, runtime), runtime)

    def cut_at(self, threshold: float, grow: float) -> Outliner:
        """The same network, with masks cut at another probability and widened otherwise; see OutlineSpec."""
        other = copy(self)
        other.spec = self.spec.model_copy(update={"threshold": threshold, "grow": grow})
        return other

    def outlined(self, found: Candidates, picture: NDArray[np.uint8], period: int | None) -> Outlined:
        """``found`` (picture pixels, best first) with outlines for the rows that had none.

        ``picture``: BGR uint8 (H, W, 3), of which ``period`` is the width if it closes around. Raises DetectionFailed
        when the network breaks or gives no finite number at all, ModelInvalid when it gives anything but masks.
        """
        bare = [row for row in range(len(found)) if not _has_outline(found, row)][:MAX_OUTLINES]
        if not bare:
            return Outlined(found)
        segments = as_segments(found.segments if found.segments is not None else [None] * len(found))
        broken, numbers = 0, 0
        for rows in (bare[start : start + self._batch] for start in range(0, len(bare), self._batch)):
            for row, crop, logits in self._logits(found.boxes, rows, picture, period):
                finite = int(np.count_nonzero(np.isfinite(logits)))
                broken, numbers = broken + logits.size - finite, numbers + finite
                if finite == logits.size:
                    segments[row] = self._segment(found.boxes[row], crop, logits)
        if not numbers:
            raise DetectionFailed(f"{self.spec.name}: output masks holds no finite number")
        return Outlined(replace(found, segments=segments), broken)

    def _logits(
        self, boxes: Floats, rows: Sequence[int], picture: NDArray[np.uint8], period: int | None
    ) -> Iterator[tuple[int, Crop, Floats]]:
        """For each row: where it was looked at, and the network's logits (S, S)."""
        side = self.spec.side
        crops = [Crop.around(boxes[row], self.spec.margin, side) for row in rows]
        batch = np.empty((len(rows), 3, side, side), np.float32)
        for slot, crop in zip(batch, crops, strict=True):
            slot[:] = crop.pixels(picture, period)[..., ::-1].transpose(2, 0, 1)
        masks = host_floats(next(iter(self._session.run(batch).values())))
        if masks.shape != (len(rows), side, side):
            raise ModelInvalid(
                f"{self.spec.name}: expected masks of shape {(len(rows), side, side)}, the model gave {masks.shape}"
            )
        return zip(rows, crops, masks, strict=True)

    def _segment(self, box: Floats, crop: Crop, logits: Floats) -> tuple[Piece, ...] | None:
        """What is drawn for a box (4,), None where nothing is marked."""
        area = max(float(box[2] - box[0]), 0.0) * max(float(box[3] - box[1]), 0.0)
        marked = widened(logits - logit(self.spec.threshold), crop.pitch, self.spec.grow * math.sqrt(area))
        rows, columns = (np.flatnonzero((marked > 0).any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return None
        # Only the cells about what is marked: hundreds of outlines wait here until they are drawn one by one.
        top, bottom = max(int(rows[0]) - 1, 0), min(int(rows[-1]) + 2, crop.side)
        left, right = max(int(columns[0]) - 1, 0), min(int(columns[-1]) + 2, crop.side)
        (x, y), (width, height) = crop.origin, crop.pitch
        low = np.minimum(box[:2], (x + left * width, y + top * height))
        high = np.maximum(box[2:], (x + right * width, y + bottom * height))
        outline = LogitMap(marked[top:bottom, left:right].copy(), (x + left * width, y + top * height), (width, height))
        return (Piece(box, self._source, outline, reach=np.concatenate([low, high]).astype(np.float32)),)


def widened(logits: Floats, pitch: tuple[float, float], radius: float) -> Floats:
    """The logits (S, S), each cell's the highest within ``radius`` pixels of the picture; a cell is ``pitch`` pixels.

    What was positive thereby grows by the radius, rounded to whole cells along either axis.
    """
    side = logits.shape[0]
    across, down = (min(radius / length, float(side)) for length in pitch)
    columns, rows = round(across), round(down)
    if not columns and not rows:
        return logits
    x, y = np.arange(-columns, columns + 1), np.arange(-rows, rows + 1)
    kernel = (x[None] / (across + 0.5)) ** 2 + (y[:, None] / (down + 0.5)) ** 2 <= 1
    return np.asarray(cv2.dilate(logits, kernel.astype(np.uint8)), np.float32)


def logit(probability: float) -> np.float32:
    """What a network says before the sigmoid where it means this probability, above 0 and below 1."""
    return np.float32(math.log(probability / (1 - probability)))


def by_class(outliners: Sequence[Outliner]) -> Mapping[ObjectClass, Outliner]:
    """The outliner of each class: the first that has it."""
    return {name: outliner for outliner in reversed(outliners) for name in outliner.spec.classes}


def _has_outline(found: Candidates, row: int) -> bool:
    pieces: tuple[Piece, ...] = () if found.segments is None else found.segments[row] or ()
    return any(piece.outline is not None for piece in pieces)
