"""Which labelled pixels would be anonymized: the outlines people drew against the regions that Velum builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.sets import LabelledObject
from velum_pipeline import regions
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass, Options

FULL = 255
"""Strength at which a pixel counts as hidden; the gradient around it does not."""
SUBPIXEL_BITS = 4
"""cv2 draws polygons to a sixteenth of a pixel."""


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
    """The pixels inside any polygon (N, 2), whose origin is the upper left pixel's outer corner; bool (H, W)."""
    canvas = np.zeros((height, width), np.uint8)
    for points in polygons:
        centred = np.round((points - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(canvas, [centred], 1, shift=SUBPIXEL_BITS)
    return canvas.astype(bool)
