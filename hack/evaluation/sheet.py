"""A contact sheet of what was missed: each object in its surroundings, so that one look tells what they have in common.

Red is the box that people drew, yellow what was found of that class near it. Where there are more misses than a sheet
holds, it shows as many, evenly spread over all of them in the order of packs and sets, and says how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.measure import LOOSE, Miss

COLUMNS, MOST = 12, 240
TILE, LINE, MARGIN = 168, 14, 4
"""Pixels: side of a crop, height of a line of text, space around."""
TITLE = 28
LINES = 3
CONTEXT = 3.0
"""Sides of a crop by the longer side of its object: enough to see whose face it is not."""
LEAST = 48
"""Pixels of a crop's side: smaller ones are blown up beyond recognition."""
RED, YELLOW, WHITE, GROUND = (60, 60, 255), (0, 220, 255), (235, 235, 235), 40
FONT, SIZE = cv2.FONT_HERSHEY_SIMPLEX, 0.36

Pixels = NDArray[np.uint8]


def write_sheet(path: Path, misses: Sequence[Miss], read: Callable[[Miss], Pixels]) -> int:
    """Draw the misses into a PNG and return how many are on it. ``read`` gives a miss's picture, BGR as displayed."""
    chosen = spread(misses, MOST)
    columns, rows = min(COLUMNS, len(chosen)), -(-len(chosen) // COLUMNS)
    width, height = TILE + 2 * MARGIN, TILE + LINES * LINE + 2 * MARGIN
    canvas = np.full((TITLE + rows * height, max(columns * width, 4 * width), 3), GROUND, np.uint8)
    shown = f"{len(misses)} objects missed at IoU {LOOSE}"
    shown += "" if len(chosen) == len(misses) else f", {len(chosen)} shown"
    _write(canvas, f"{shown}; red: labelled, yellow: found", MARGIN, 19, 0.45)
    for index, miss in enumerate(chosen):
        x, y = (index % COLUMNS) * width + MARGIN, TITLE + (index // COLUMNS) * height + MARGIN
        canvas[y : y + TILE, x : x + TILE] = crop(read(miss), miss)
        for number, text in enumerate(_caption(miss), 1):
            _write(canvas, text, x, y + TILE + number * LINE - 3, SIZE)
    done, coded = cv2.imencode(".png", canvas)
    if not done:
        raise OSError(f"cannot encode {path}")
    path.write_bytes(coded.tobytes())
    return len(chosen)


def spread(misses: Sequence[Miss], most: int) -> list[Miss]:
    """At most so many, evenly spread over all."""
    if len(misses) <= most:
        return list(misses)
    return [misses[index * len(misses) // most] for index in range(most)]


def crop(picture: Pixels, miss: Miss) -> Pixels:
    """The object in its surroundings, (TILE, TILE, 3), boxes drawn; black where the picture has ended."""
    x1, y1, x2, y2 = miss.box
    side = max(LEAST, CONTEXT * max(x2 - x1, y2 - y1))
    scale = TILE / side
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    turn = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    # Averaging first, where it gets smaller: warping alone would pick single pixels.
    if scale < 1:
        reduced = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        turn[:, :2] = np.eye(2)
        picture = np.asarray(reduced, np.uint8)
    tile = np.asarray(cv2.warpAffine(picture, turn, (TILE, TILE)), np.uint8)
    for boxes, colour in ((miss.found, YELLOW), (np.array([miss.box]), RED)):
        for box in np.asarray(boxes, np.float64).reshape(-1, 4):
            low, high = ((corner - (left, top)) * scale for corner in (box[:2], box[2:]))
            cv2.rectangle(tile, _point(low), _point(high), colour, 1)
    return tile


def _point(place: NDArray[np.float64]) -> tuple[int, int]:
    bounded = np.clip(np.round(place), -TILE, 2 * TILE).astype(int)
    return int(bounded[0]), int(bounded[1])


def _caption(miss: Miss) -> tuple[str, str, str]:
    x1, y1, x2, y2 = miss.box
    return (f"{miss.subject} {miss.set}", miss.path.name, f"{miss.word} {x2 - x1:.0f} x {y2 - y1:.0f}")


def _write(canvas: Pixels, text: str, x: int, y: int, size: float) -> None:
    """One line of text; cut where its tile ends. The font has ASCII only."""
    text = text.encode("ascii", "replace").decode()
    room = canvas.shape[1] - x if size > SIZE else TILE
    while text and cv2.getTextSize(text, FONT, size, 1)[0][0] > room:
        text = text[:-1]
    cv2.putText(canvas, text, (x, y), FONT, size, WHITE, 1, cv2.LINE_AA)
