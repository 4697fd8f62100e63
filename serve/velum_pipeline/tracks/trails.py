"""Where an object is beyond a hit, by the hit's pixels: the box that they went to, and by how much it is to be grown.

While the pixels look like what they were, the object is where they are. The less they do, the more it may have gone
elsewhere: with what surrounds it, or on along its line, as something that passes behind a post does; both then are
covered as well. Growth was chosen on a hand-held street video with small, flickering faces: of hits left out ten frames
long, 96 to 99 % then are covered by nine tenths or more, where boxes alone, half as large again, covered 92 to 98 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks.follow import Luma, follow
from velum_pipeline.tracks.hulls import hull
from velum_pipeline.tracks.nodes import scales

Boxes = NDArray[np.float64]
Floats = NDArray[np.float64]

SURE, STRANGE = 0.75, 0.3
"""Correlation with what was found from which on nothing is in doubt, and below which all is."""
START = 0.12
"""Scales: a hit that nothing follows is one of a detector's last, and less well placed than others."""
DRIFT = 0.02
"""Scales a frame by which followed boxes leave the object's, because it turns, comes near, or is followed badly."""
DOUBT = 0.05
"""The same on top where all is in doubt, and where nothing could be followed any more."""
FARTHEST = 1.0
"""Scales: how far a line leads at most. Over ten frames a hand's shake is worth more than it."""
ELSEWHERE = 0.3
"""Of the smaller box, that the larger must cover for both to be of one object."""
THERE = 0.5
"""The same from which on they surely are."""


def elsewhere(luma: Luma, box: Floats, at: int, other: Floats, until: int) -> bool:
    """Whether pixels tell that the box (4,) in frame ``at`` is not of the object of another, in the later ``until``.

    They do so only where what is in the first is surely to be seen in the later frame, in another place.
    """
    common = _common(luma, box, at, other, until)
    return common is not None and common < ELSEWHERE


def there(luma: Luma, box: Floats, at: int, other: Floats, until: int) -> bool:
    """Whether pixels tell that the box (4,) in frame ``at`` is of the object of another, in the later ``until``."""
    common = _common(luma, box, at, other, until)
    return common is not None and common >= THERE


def _common(luma: Luma, box: Floats, at: int, other: Floats, until: int) -> float | None:
    """What the box's pixels, surely seen in the later frame, have in common with the other box, of the smaller one."""
    way = follow(luma, box, at, range(at + 1, until + 1))
    if way.followed < until - at or way.alike[-1] < SURE:
        return None
    last = way.boxes[-1]
    common = np.maximum(np.minimum(last[2:], other[2:]) - np.maximum(last[:2], other[:2]), 0.0)
    least = min(float(np.prod(last[2:] - last[:2])), float(np.prod(other[2:] - other[:2])))
    return float(np.prod(common)) / least


def trail(luma: Luma, box: Floats, at: int, to: Sequence[int], line: Boxes) -> tuple[Boxes, Floats, Floats]:
    """Where a hit's object is in frames ``to`` (T), in order, away from the hit's: boxes, growth, doubt.

    box: (4,) the hit's, in frame ``at``. line: (1 + T, 4) where the line through the track's hits leads: at the hit's
    own frame, then at ``to``. Returns boxes (T, 4), their growth in scales (T,), and by how much they may be wrong
    altogether (T,), 0 to 1. The growth does not count the hits' noise.
    """
    way = follow(luma, box, at, to)
    doubt = np.clip((SURE - way.alike) / (SURE - STRANGE), 0.0, 1.0)
    doubt[way.followed :] = 1.0
    size = float(scales(box[None])[0])
    onward = np.clip(line[1:] - box, -FARTHEST * size, FARTHEST * size) + box
    share = doubt[:, None]
    wide = _widened(way.boxes, line[0] - box, scales(way.boxes) / size)
    boxes = hull(wide, way.boxes + share * (way.around - way.boxes))
    boxes = hull(boxes, way.boxes + share * (onward - way.boxes))
    frames = np.abs(np.asarray(to) - at)
    return boxes, START + (DRIFT + DOUBT * doubt) * frames, doubt


def _widened(boxes: Boxes, off: Floats, swell: Floats) -> Boxes:
    """Boxes that also hold what lay ``off`` (4,) the edges of the first: a single hit's edges jitter."""
    wider = np.concatenate([np.minimum(off[:2], 0.0), np.maximum(off[2:], 0.0)])
    return boxes + wider * swell[:, None]
