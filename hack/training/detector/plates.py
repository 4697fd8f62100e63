"""Licence plates drawn by us, in the place of some that are in the pictures.

The labelled plates come from few countries. What stands on a plate, and in which colours, says nothing about where
it is; so some of them are painted over with plates of other shapes of writing and other colours, in the same
perspective and light.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from training.detector.crops import Floats, Pixels, Sample
from training.detector.tower import CLASSES

OFTEN = 0.3
LEAST_WIDTH = 20.0
"""Pixels: below, nothing of what would be drawn could be seen."""
HEIGHT = 64
COLOURS: Sequence[tuple[tuple[int, int, int], tuple[int, int, int]]] = (
    ((240, 240, 240), (20, 20, 20)),
    ((240, 240, 240), (150, 40, 20)),
    ((240, 240, 240), (30, 30, 170)),
    ((60, 200, 240), (20, 20, 20)),
    ((150, 70, 20), (240, 240, 240)),
    ((30, 30, 30), (235, 235, 235)),
    ((90, 160, 60), (240, 240, 240)),
    ((40, 40, 180), (240, 240, 240)),
)
"""BGR of ground and writing, as the world's plates have them."""
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX)
SIGNS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


def repainted(sample: Sample, draw: np.random.Generator) -> Sample:
    """The sample with some of its plates painted over, in place."""
    for row in np.flatnonzero((sample.classes == CLASSES.index("license-plate")) & ~sample.ignore):
        if draw.random() < OFTEN and sample.boxes[row, 2] - sample.boxes[row, 0] >= LEAST_WIDTH:
            paint(sample.pixels, corners_of(sample, int(row)), draw)
    return sample


def corners_of(sample: Sample, row: int) -> Floats:
    """(4, 2) corners of a plate, from the top left clockwise: its own, or its box a little reduced."""
    corners = sample.corners[row].reshape(4, 2)
    if np.isfinite(corners).all():
        return corners
    x1, y1, x2, y2 = sample.boxes[row]
    inset_x, inset_y = 0.02 * (x2 - x1), 0.04 * (y2 - y1)
    x1, y1, x2, y2 = x1 + inset_x, y1 + inset_y, x2 - inset_x, y2 - inset_y
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def paint(pixels: Pixels, corners: Floats, draw: np.random.Generator) -> None:
    """Paint a plate into the quad (4, 2), as bright as what is there."""
    width = float(np.linalg.norm(corners[1] - corners[0]) + np.linalg.norm(corners[2] - corners[3])) / 2
    height = float(np.linalg.norm(corners[3] - corners[0]) + np.linalg.norm(corners[2] - corners[1])) / 2
    if min(width, height) < 4:
        return
    plate = drawn(width / height, draw)
    top, bottom = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int) + 1
    x1, y1 = np.maximum(top, 0)
    x2, y2 = np.minimum(bottom, [pixels.shape[1], pixels.shape[0]])
    if x2 - x1 < 4 or y2 - y1 < 2:
        return
    patch = pixels[y1:y2, x1:x2]
    factor = float(np.clip(np.percentile(patch, 80) / max(np.percentile(plate, 80), 1.0), 0.15, 1.1))
    shrunk = cv2.resize(plate, (max(8, round(width)), max(4, round(height))), interpolation=cv2.INTER_AREA)
    source = np.array([[0, 0], [shrunk.shape[1], 0], [shrunk.shape[1], shrunk.shape[0]], [0, shrunk.shape[0]]])
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), (corners - [x1, y1]).astype(np.float32))
    size = (int(x2 - x1), int(y2 - y1))
    laid = cv2.warpPerspective(shrunk, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.warpPerspective(np.ones(shrunk.shape[:2], np.float32), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    patch[:] = (patch * (1 - share) + laid * factor * share).clip(0, 255).astype(np.uint8)


def drawn(aspect: float, draw: np.random.Generator) -> Pixels:
    """A plate seen from the front, (HEIGHT, width, 3) BGR, in one line or in two."""
    width = int(np.clip(HEIGHT * aspect, 40, 420))
    ground, ink = COLOURS[int(draw.integers(len(COLOURS)))]
    plate = np.full((HEIGHT, width, 3), ground, np.uint8)
    if draw.random() < 0.6:
        cv2.rectangle(plate, (1, 1), (width - 2, HEIGHT - 2), ink, int(draw.integers(1, 4)))
    left = 4
    if draw.random() < 0.35 and aspect > 2.5:  # the strip with a country's letters
        left = int(0.09 * width)
        plate[:, :left] = (150, 60, 20)
    lines = 2 if aspect < 2.2 else 1
    for line in range(lines):
        count = int(draw.integers(3, 6)) if lines == 2 else int(draw.integers(5, 9))
        text = "".join(SIGNS[i] for i in draw.integers(0, len(SIGNS), count))
        if lines == 1 and draw.random() < 0.6:
            gap = int(draw.integers(1, count))
            text = text[:gap] + (" " if draw.random() < 0.6 else "-") + text[gap:]
        _write(plate, text, (left, line * HEIGHT // lines), (width - left - 4, HEIGHT // lines), ink, draw)
    return plate


def _write(
    plate: Pixels,
    text: str,
    corner: tuple[int, int],
    room: tuple[int, int],
    ink: tuple[int, int, int],
    draw: np.random.Generator,
) -> None:
    font, thickness = FONTS[draw.integers(len(FONTS))], int(draw.integers(2, 6))
    (wide, high), _ = cv2.getTextSize(text, font, 1.0, thickness)
    scale = min(0.92 * room[0] / max(wide, 1), 0.8 * room[1] / max(high, 1))
    if not math.isfinite(scale) or scale <= 0:
        return
    thickness = max(1, round(thickness * min(scale, 1.5)))
    (wide, high), _ = cv2.getTextSize(text, font, scale, thickness)
    place = (corner[0] + (room[0] - wide) // 2, corner[1] + (room[1] + high) // 2)
    cv2.putText(plate, text, place, font, scale, ink, thickness, cv2.LINE_AA)
