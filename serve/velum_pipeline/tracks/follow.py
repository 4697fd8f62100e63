"""Where a detection's pixels go in the frames around: what boxes alone cannot tell, a hand-held camera's way above all.

From frame to frame a grid of points in the box, and some around it, are followed by the pyramidal method of Lucas and
Kanade, on crops in which the box has always about the same size; what most of them do is where the box goes (`flow`).
Points that do not lead back to where they came from do not count. Where nothing in the box can be followed it goes the
way of what is around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks import flow

Luma = Callable[[int], NDArray[Any] | None]
"""A frame's luma as displayed, uint8 or, of 10 bits, uint16 (H, W), by ordinal; None for a frame that there is not."""
Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Window = tuple[int, int, int, int]
"""Left, top, right, bottom."""

SIDE = 24.0
"""Pixels of the box in crops: no less certain than 36, at two thirds of the time."""
ENLARGED = 3.0
"""Times, at most: nothing comes of more, and windows then are as large as the smallest box."""
ROOM = 0.55, 3.0
"""Sizes of the box, and pixels, that a crop shows on each side of it."""
LEAST = 8
"""Pixels that must be left of a crop at the picture's edge."""
LK = {
    "winSize": (9, 9),
    "maxLevel": 2,  # motion of 16 pixels of a crop is found
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 5, 0.04),
    "minEigThreshold": 1e-3,  # what has less texture than that, as OpenCV counts it, cannot be followed
}
BACK = 1.0
"""Pixels of a crop by which a point may miss its beginning on the way back."""
ENOUGH = 4
"""Points that must have been followed."""
NEARNESS = 0.01
"""Sizes of the box by which points' motion may differ in any case."""
PATCH = 16
"""Pixels of the side of the picture by which a box is compared with what it was at first."""
BRIGHTER = 3.0
"""Levels, of the mean of two crops, from which on they are made alike before points are followed."""
LEVELS = np.arange(256)


def _grid(count: int, first: float, last: float) -> Floats:
    line = np.linspace(first, last, count)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


_INSIDE = _grid(4, 0.14, 0.86)
_FRAME = _grid(5, -0.35, 1.35)
_POINTS = np.concatenate([_INSIDE, _FRAME[(np.abs(_FRAME - 0.5) > 0.6).any(axis=1)]])
"""Of a box of side 1."""


@dataclass(frozen=True)
class Way:
    """A box in T frames, the nearest to its own first.

    boxes: (T, 4) where its pixels went. around: (T, 4) where what surrounds it went. alike: (T,) the least, up to
    there, of the correlation of the box's pixels with what they were at first: 1 the same, 0 or less something else.
    followed: how many of the frames either was followed to; in those beyond both stay where they were.
    """

    boxes: Boxes
    around: Boxes
    alike: Floats
    followed: int


def follow(luma: Luma, box: Floats, at: int, to: Sequence[int]) -> Way:
    """Follow a box (4,) from its frame ``at`` through the frames ``to``, in order, away from it.

    Depends on these frames only. Frames that there are not are passed over.
    """
    before = luma(at)
    boxes, around, alike = np.repeat(box[None], len(to), 0), np.repeat(box[None], len(to), 0), np.ones(len(to))
    if before is None:
        return Way(boxes, around, np.zeros(len(to)), 0)
    own, others, first, least = box, box, _patch(before, box), 1.0
    followed = len(to)
    for place, ordinal in enumerate(to):
        picture = luma(ordinal)
        if picture is not None and place < followed:
            inside, outside = _step(before, picture, own)
            if not (inside[0] or outside[0]):
                followed = place
            else:
                own, others = _moved(own, inside if inside[0] else outside), _moved(others, outside)
                least = min(least, _correlation(first, _patch(picture, own)))
                before = picture
        boxes[place], around[place], alike[place] = own, others, least
    return Way(boxes, around, alike, followed)


def _moved(box: Floats, motion: Floats) -> Floats:
    if not motion[0]:
        return box
    middle, half = (box[:2] + box[2:]) / 2 + motion[1:3], (box[2:] - box[:2]) / 2 * motion[3]
    return np.concatenate([middle - half, middle + half])


def _step(before: NDArray[Any], after: NDArray[Any], box: Floats) -> NDArray[np.float64]:
    """What is in the box, and what is around it: (2, 4) whether they were followed, by how much they move and grow."""
    sides = box[2:] - box[:2]
    size = float(np.sqrt(sides[0] * sides[1]))
    motions = np.zeros((2, 4))
    window = _window(box, sides, size, before.shape)
    if window is None:
        return motions
    left, top, right, bottom = window
    wanted = min(SIDE / size, ENLARGED)
    shape = max(round((right - left) * wanted), 2 * LEAST), max(round((bottom - top) * wanted), 2 * LEAST)
    zoom = np.array([shape[0] / (right - left), shape[1] / (bottom - top)])
    one, other = _crop(before, window, shape), _crop(after, window, shape)
    points = _POINTS * sides + box[:2]
    there = (points - (left, top)) * zoom - 0.5
    found, good = _flow(one, _as_bright(other, one), there.astype(np.float32))
    good &= ((there >= 1) & (there <= np.array(shape) - 2)).all(axis=1)
    moved, middle, count = (found - there) / zoom, (box[:2] + box[2:]) / 2, len(_INSIDE)
    for out, part in zip(motions, (slice(count), slice(count, None)), strict=True):
        flow.common(points[part], moved[part], good[part], middle, NEARNESS * size, ENOUGH, out)
    motions[1, 3] = 1.0  # a growth of what is around tells nothing of the box's
    return motions


def _window(box: Floats, sides: Floats, size: float, shape: tuple[int, ...]) -> Window | None:
    """The part of the picture that is looked at; None where too little is left of it."""
    (x1, y1, x2, y2), (across, down) = box.tolist(), np.maximum(sides, size) * ROOM[0] + ROOM[1]
    left, top = max(int(x1 - across), 0), max(int(y1 - down), 0)
    right, bottom = min(int(x2 + across), shape[1]), min(int(y2 + down), shape[0])
    return (left, top, right, bottom) if min(right - left, bottom - top) >= LEAST else None


def _crop(picture: NDArray[Any], window: Window, shape: tuple[int, int]) -> Bytes:
    left, top, right, bottom = window
    part = _bytes(picture[top:bottom, left:right])
    how = cv2.INTER_AREA if shape[0] < right - left else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, shape, interpolation=how), np.uint8)


def _bytes(part: NDArray[Any]) -> Bytes:
    """Eight bits, contiguous: of 10 the upper ones."""
    return np.ascontiguousarray(part if part.dtype == np.uint8 else part >> 2, np.uint8)


def _as_bright(other: Bytes, one: Bytes) -> Bytes:
    """``other`` with the mean and the contrast of ``one``, where a lamp or an exposure makes them differ."""
    mean, wanted = cv2.mean(other)[0], cv2.mean(one)[0]
    if abs(mean - wanted) < BRIGHTER:
        return other
    gain = min(max(float(one.std()) / max(float(other.std()), 1.0), 0.5), 2.0)
    table = np.clip(np.rint((LEVELS - mean) * gain + wanted), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(other, table), np.uint8)


def _flow(one: Bytes, other: Bytes, points: NDArray[np.float32]) -> tuple[Floats, NDArray[np.bool_]]:
    """Where points (N, 2) of one crop are in the other, and which of them lead back (N,)."""
    found, went, _ = cv2.calcOpticalFlowPyrLK(one, other, points[:, None], None, **LK)  # type: ignore[call-overload]
    again, came, _ = cv2.calcOpticalFlowPyrLK(other, one, found, None, **LK)  # type: ignore[call-overload]
    missed = np.abs(again[:, 0] - points).max(axis=1)
    return found[:, 0].astype(np.float64), (went[:, 0] > 0) & (came[:, 0] > 0) & (missed <= BACK)


def _patch(picture: NDArray[Any], box: Floats) -> NDArray[np.float32]:
    """What is in the box, (PATCH, PATCH), less its mean; beyond the picture, its edge."""
    (x1, y1, x2, y2), (height, width) = box.tolist(), picture.shape
    left, top = max(min(int(x1) - 1, width - 2), 0), max(min(int(y1) - 1, height - 2), 0)
    right, bottom = min(max(int(x2) + 2, left + 2), width), min(max(int(y2) + 2, top + 2), height)
    part = _bytes(picture[top:bottom, left:right])
    across, down = (x2 - x1) / PATCH, (y2 - y1) / PATCH
    if min(across, down) >= 2:  # else every other pixel would count for nothing
        shape = max(round(part.shape[1] / across), 2), max(round(part.shape[0] / down), 2)
        part = np.asarray(cv2.resize(part, shape, interpolation=cv2.INTER_AREA), np.uint8)
    zoom_x, zoom_y = part.shape[1] / (right - left), part.shape[0] / (bottom - top)
    matrix = np.array(
        [
            [across * zoom_x, 0, (x1 - left + across / 2) * zoom_x - 0.5],
            [0, down * zoom_y, (y1 - top + down / 2) * zoom_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    square = cv2.warpAffine(part, matrix, (PATCH, PATCH), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    levels: NDArray[np.float32] = np.asarray(square, np.float32)
    return levels - np.float32(cv2.mean(square)[0])


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """-1 to 1; 0 where there is nothing to compare."""
    norm = float(cv2.norm(one)) * float(cv2.norm(other))
    return float(np.vdot(one, other)) / norm if norm > 0 else 0.0
