"""Drawings on the anonymized picture: boxes, outlines of what was anonymized, scores.

Drawn after redaction, with opaque strokes, so a debug picture shows nothing that the plain one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections
from velum_pipeline.media.picture import Layout, Picture
from velum_pipeline.options import ObjectClass
from velum_pipeline.regions import Region

COLOURS = {
    ObjectClass.FACE: (80, 220, 60),
    ObjectClass.LICENSE_PLATE: (0, 200, 255),
    ObjectClass.PERSON: (255, 120, 40),
    ObjectClass.VEHICLE: (220, 60, 220),
}
"""BGR, 8 bit."""
STROKES_PER_SIDE = 400
"""A stroke is a 400th of the picture's shorter side: visible at any size, hiding little."""


def draw(picture: Picture, detections: Detections, regions: Sequence[Region | None], *, scores: bool) -> None:
    """Draw boxes and region outlines, and scores if asked, into the picture, in place."""
    for object_class in ObjectClass:
        rows = np.flatnonzero(detections.classes == object_class).tolist()
        if rows:
            # One 8-bit stencil per class: cv2 writes text on nothing else, and alpha and depth then come out exact.
            stencil = np.zeros((picture.height, picture.width), np.uint8)
            for row in rows:
                _trace(stencil, detections, row, regions[row], scores=scores)
            picture.native[stencil > 127] = _colour(COLOURS[object_class], picture)


def _trace(
    stencil: NDArray[np.uint8], detections: Detections, row: int, region: Region | None, *, scores: bool
) -> None:
    stroke = max(1, min(stencil.shape) // STROKES_PER_SIDE)
    x1, y1, x2, y2 = (round(float(value)) for value in detections.boxes[row])
    cv2.rectangle(stencil, (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1)), 255, stroke)
    if region is not None:
        touched = (region.strength > 0).astype(np.uint8)
        outlines, _ = cv2.findContours(touched, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(region.x, region.y))
        cv2.drawContours(stencil, outlines, -1, 255, stroke)
    if scores:
        text = f"{float(detections.scores[row]):.2f}"
        at = (x1 + stroke, max(y1 - 2 * stroke, 12 * stroke))
        cv2.putText(stencil, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * stroke, 255, stroke)


def _colour(bgr: tuple[int, int, int], picture: Picture) -> NDArray[Any]:
    """A colour in the picture's own layout and depth, opaque."""
    white = int(np.iinfo(picture.native.dtype).max)
    blue, green, red = (value * white // 255 for value in bgr)
    channels = {
        Layout.GREY: white,
        Layout.BGR: (blue, green, red),
        Layout.BGRA: (blue, green, red, white),
        Layout.CMYK: (red, green, blue, white),
    }
    return np.array(channels[picture.layout], picture.native.dtype)
