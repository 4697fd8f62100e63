"""Pseudo tracks: what a slow ensemble says is in a real clip, taken for the truth where nobody has labelled any.

They show how much of what a careful look finds a quick one hides; what the ensemble misses too, they cannot show.
Looks at all frames are linked by overlap, gaps of a few frames are filled on a straight line, and what was seen too
seldom to be believed is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.matching import iou
from evaluation.tracks.crops import Box, box_size
from evaluation.tracks.exposure import Truth
from evaluation.tracks.scene import Visible

LINKED = 0.3
"""Overlap of one look with the next that makes them one object."""
GAP = 5
"""Frames in a row that an object may be overlooked."""
BELIEVED = 6
"""Looks that saw it. A wall that was a face once is none."""
SMALLEST = 12.0
"""Pixels, as the sizes of tracks are counted. Nobody is known by less."""

Boxes = NDArray[np.floating]


@dataclass
class _Track:
    boxes: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return next(reversed(self.boxes))


def linked(looks: Iterable[Boxes]) -> list[dict[int, Box]]:
    """Tracks of one class, each a box (x1, y1, x2, y2) by frame, from the boxes (N, 4) of all frames in order.

    Each look's boxes go to the open tracks that they overlap best, best pairs first.
    """
    tracks: list[_Track] = []
    for number, boxes in enumerate(looks):
        open_ones = [track for track in tracks if number - track.last <= GAP + 1]
        free = set(range(len(boxes)))
        for row, track in _pairs(boxes, open_ones):
            if row in free and track.last < number:
                track.boxes[number] = np.asarray(boxes[row], np.float64)
                free.discard(row)
        tracks += [_Track({number: np.asarray(boxes[row], np.float64)}) for row in sorted(free)]
    return [_filled(track.boxes) for track in tracks if _believed(track)]


def truth(tracks: Iterable[Mapping[int, Box]], size: tuple[int, int]) -> Truth:
    """The tracks as the truth about a clip of (width, height): of each box, the ellipse in it."""
    by_frame: dict[int, list[tuple[int, Box]]] = defaultdict(list)
    for track, boxes in enumerate(tracks):
        for number, box in boxes.items():
            by_frame[number].append((track, box))
    return _asked(by_frame, size)


def _asked(by_frame: Mapping[int, list[tuple[int, Box]]], size: tuple[int, int]) -> Callable[[int], list[Visible]]:
    def asked(number: int) -> list[Visible]:
        found = (_visible(track, box, size) for track, box in by_frame.get(number, ()))
        return [each for each in found if each is not None]

    return asked


def _pairs(boxes: Boxes, tracks: list[_Track]) -> list[tuple[int, _Track]]:
    """Rows and tracks that overlap enough, best first."""
    if not tracks or not len(boxes):
        return []
    overlaps = iou(boxes, np.stack([track.boxes[track.last] for track in tracks]))
    order = np.argsort(-overlaps, axis=None, kind="stable")
    found = [divmod(int(place), len(tracks)) for place in order if overlaps.flat[place] >= LINKED]
    return [(row, tracks[column]) for row, column in found]


def _believed(track: _Track) -> bool:
    size = float(np.mean([box_size(_box(each)) for each in track.boxes.values()]))
    return len(track.boxes) >= BELIEVED and size >= SMALLEST


def _filled(boxes: Mapping[int, NDArray[np.float64]]) -> dict[int, Box]:
    filled = {number: _box(each) for number, each in boxes.items()}
    for before, after in pairwise(boxes):
        for number in range(before + 1, after):
            share = (number - before) / (after - before)
            filled[number] = _box(boxes[before] * (1 - share) + boxes[after] * share)
    return dict(sorted(filled.items()))


def _box(values: NDArray[np.float64]) -> Box:
    x1, y1, x2, y2 = values.tolist()
    return x1, y1, x2, y2


def _visible(track: int, box: Box, size: tuple[int, int]) -> Visible | None:
    left, top = max(0, int(box[0])), max(0, int(box[1]))
    right, bottom = min(size[0], int(np.ceil(box[2]))), min(size[1], int(np.ceil(box[3])))
    if right <= left or bottom <= top:
        return None
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    across, down = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    pixels = ((x - box[0]) / across - 1) ** 2 + ((y - box[1]) / down - 1) ** 2 <= 1
    share = min(1.0, float(pixels.sum() / max(np.pi * across * down, 1)))
    return Visible(track, box, left, top, np.asarray(pixels), share) if pixels.any() else None
