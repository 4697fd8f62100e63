"""Drawings on the anonymized picture: boxes, outlines of what was anonymized, scores.

Drawn after redaction, with opaque strokes, so a debug picture shows nothing that the plain one does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

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
    stroke = max(1, min(picture.width, picture.height) // STROKES_PER_SIDE)
    canvas = np.ascontiguousarray(picture.native)
    for row, region in enumerate(regions):
        object_class = detections.classes[row]
        colour = _colour(COLOURS[object_class], picture)
        x1, y1, x2, y2 = (round(float(value)) for value in detections.boxes[row])
        cv2.rectangle(canvas, (x1, y1), (max(x2 - 1, x1), max(y2 - 1, y1)), colour, stroke)
        if region is not None:
            touched = (region.strength > 0).astype(np.uint8)
            outlines, _ = cv2.findContours(
                touched, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(region.x, region.y)
            )
            cv2.drawContours(canvas, outlines, -1, colour, stroke)
        if scores:
            text = f"{float(detections.scores[row]):.2f}"
            at = (x1 + stroke, max(y1 - 2 * stroke, 12 * stroke))
            cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * stroke, colour, stroke)
    picture.native = canvas


def _colour(bgr: tuple[int, int, int], picture: Picture) -> tuple[float, ...]:
    """A colour in the picture's own layout and depth, opaque."""
    white = int(np.iinfo(picture.native.dtype).max)
    blue, green, red = (value * white // 255 for value in bgr)
    if picture.layout is Layout.GREY:
        return (white,)
    if picture.layout is Layout.CMYK:
        return (red, green, blue, white)
    return (blue, green, red, white)
