"""Which labelled pixels would be anonymized: the outlines people drew against the regions that Velum builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.sets import LabelledObject
from velum_pipeline import regions
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass, Options

FULL = 255
"""Strength at which a pixel counts as hidden; the gradient around it does not."""


@dataclass
class Coverage:
    """Pixels of labelled objects, and how many of them are hidden."""

    labelled: int = 0
    hidden: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(self.labelled + other.labelled, self.hidden + other.hidden)

    @property
    def recall(self) -> float | None:
        """The share of pixels, None of nothing."""
        return self.hidden / self.labelled if self.labelled else None


def coverage(
    objects: Sequence[LabelledObject], detections: Detections, options: Options, width: int, height: int
) -> dict[ObjectClass, Coverage]:
    """Per class of ``options``: its labelled pixels, and those that its own regions hide completely.

    Objects that are ignored or have no polygons have no pixels; where objects overlap, a pixel counts once.
    """
    areas = [area for area in regions.build(detections, options, width, height) if area is not None]
    found = {}
    for wanted in options.classes:
        own = [item for item in objects if item.object_class is wanted and not item.ignore]
        labelled = outline([points for item in own for points in item.polygons], width, height)
        hidden = np.zeros((height, width), bool)
        for area in areas:
            if area.object_class is wanted:
                hidden[area.rows, area.columns] |= area.strength == FULL
        found[wanted] = Coverage(int(labelled.sum()), int((labelled & hidden).sum()))
    return found


def outline(polygons: Sequence[NDArray[np.float64]], width: int, height: int) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside any polygon (N, 2), by the even-odd rule; bool (H, W).

    Coordinates start at the upper left pixel's outer corner. cv2.fillPoly would add the border's own pixels.
    """
    canvas = np.zeros((height, width), bool)
    for points in polygons:
        canvas |= _inside(points, width, height)
    return canvas


def _inside(points: NDArray[np.float64], width: int, height: int) -> NDArray[np.bool_]:
    """Every edge that crosses a row's middle turns inside into outside from its crossing on, and back."""
    (x1, y1), (x2, y2) = points.T, np.roll(points, -1, axis=0).T
    middles = np.arange(height)[:, None] + 0.5
    rows, edges = np.nonzero((y1 <= middles) != (y2 <= middles))
    crossing = x1[edges] + (middles[rows, 0] - y1[edges]) * (x2 - x1)[edges] / (y2 - y1)[edges]
    turns = np.zeros((height, width + 1), np.intp)
    np.add.at(turns, (rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.intp)), 1)
    return np.asarray(np.cumsum(turns[:, :width], axis=1) % 2 == 1)
