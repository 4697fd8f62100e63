"""Where to look again: what one class says about where another is.

A face is small in a picture of a person who is small in it, and a network that sees little of it says little. So what
looks *inside* a class (``inside`` in a manifest) gets windows around the objects of that class, its *hosts*, and sees
them enlarged. Hosts need not be certain, nor asked for: a needless look costs time, not a wrong box.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

HOST_SCORE = 0.25
"""Hosts are taken from well below the default threshold on."""
MAX_HOSTS = 24
"""Per picture, the most certain first: a crowd must not cost a hundred looks."""
MARGIN = 0.15
"""Of the host's side, on every side: its own box may be off, and networks like to see what is around."""
MIN_GAIN = 3.0
"""A window is worth it where it shows the same network its pixels so many times larger than any look before."""
MAX_ENLARGEMENT = 4.0
"""A window is made no smaller than lets its pixels be blown up by this: beyond, there is nothing more to see."""
HEAD = 1.2
"""Of a person's width: how far down from the top of the box the face is looked for."""


def windows(
    hosts: Candidates, spec: ComponentSpec, period: int | None, size: tuple[int, int], finest: float
) -> list[Window]:
    """Where a component looks inside these hosts, best first, in a picture of ``size`` (width, height) pixels.

    ``finest``: the input pixels that its network gave to a pixel so far. Hosts so large that this gains little give no
    window.
    """
    if not worthwhile(spec, finest, size):
        return []
    limit, least = _limit(spec, finest, size), spec.input.longest / MAX_ENLARGEMENT
    certain = hosts.select(hosts.scores >= HOST_SCORE).ordered()
    found = (_window(_part(box, spec.inside), period, size, least) for box in certain.boxes)
    fitting = [window for window in found if window is not None and max(window.width, window.height) <= limit]
    return list(dict.fromkeys(fitting))[:MAX_HOSTS]


def worthwhile(spec: ComponentSpec, finest: float, size: tuple[int, int]) -> bool:
    """Whether any host in a picture of this size could give a window; else nobody need look for hosts."""
    return _limit(spec, finest, size) >= spec.input.longest / MAX_ENLARGEMENT


def _limit(spec: ComponentSpec, finest: float, size: tuple[int, int]) -> float:
    """The longest side of a window (pixels) that still gains enough."""
    return spec.input.longest / (MIN_GAIN * finest) if finest else float(max(size))


def _part(box: Floats, host_class: ObjectClass | None) -> Floats:
    """The part of a host where the other class is: the upper end of a person, the whole of anything else."""
    if host_class is not ObjectClass.PERSON:
        return box
    x1, y1, x2, y2 = box
    return np.array([x1, y1, x2, min(y2, y1 + HEAD * (x2 - x1))], np.float32)


def _window(box: Floats, period: int | None, size: tuple[int, int], least: float) -> Window | None:
    """The box with its margin, at least ``least`` pixels on its longer side, inside the picture."""
    low, high = box[:2].astype(float), box[2:].astype(float)
    sides = (high - low) * (1 + 2 * MARGIN)
    sides *= max(1.0, least / max(sides.max(), 1e-6))
    spans = []
    for axis, (centre, side, length) in enumerate(zip((low + high) / 2, sides, size, strict=True)):
        start, stop = int(np.floor(centre - side / 2)), int(np.ceil(centre + side / 2))
        if axis == 0 and period is not None:
            start, stop = start % period, start % period + min(stop - start, period)
        else:
            start, stop = max(start, 0), min(stop, length)
        spans.append((start, stop - start))
    (x, width), (y, height) = spans
    return Window(x, y, width, height) if width > 0 and height > 0 else None
