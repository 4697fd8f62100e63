"""Where an object is in frames in which it was not found: boxes that hold it, not boxes that fit it.

A hole between two hits is covered by the straight way between them together with the way on from the nearer hit at its
speed (the other's where it has none): an object that speeds up, slows down or turns the same way all along is between
the two, for a curve that bends one way lies between its chord and its tangent. Before the first and after the last hit
an object may stand still or move on, so both are covered, and all between. On top boxes grow on every side by

    scale * (SHAKE + the hits' noise, carried on along the line + ACCELERATION / 2 * frames²)

with, between two hits, ``BEND / 2 * frames to one * frames to the other`` as the last term, the most by which a way
whose acceleration is at most ``BEND`` leaves its chord.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks.motion import Line, lines
from velum_pipeline.tracks.nodes import Boxes, Ids, Nodes

Floats = NDArray[np.float64]

SHAKE = 0.03
"""Scales by which an object may be off its way in a single frame: a hand-held camera's tremor, a step's bob."""
ACCELERATION = 0.008
"""Scales per frame², of what is covered beyond a track's ends. A face (0.25 m) whose owner sets off at 1.8 m/s², a
plate (0.24 m) on a car that brakes or gains at 1.7 m/s², at 30 frames a second. Slowing down costs nothing: it stays
between standing still and moving on."""
BEND = 0.02
"""The same between two hits, where nothing is guessed but the way from one to the other."""
UNKNOWN_SPEED = 0.1
"""Scales a frame that a lone hit may move at: two thirds of a walker's face."""
PIXEL = 0.5
"""Growth of every filled box in pixels: where a detector's grid ends."""
DECAY = (0.97 ** np.arange(1024)).astype(np.float32)
"""What is left of the nearest hit's score after so many frames. For show: nothing may be left out by it."""


@dataclass(frozen=True)
class Filled:
    """R boxes made here. of: (R,) index of the hit or pair of hits; times: (R,) ordinals; nearest: (R,) node ids.

    inner: (R, 4) the boxes before they were grown; growth: (R,) pixels; boxes: (R, 4) grown.
    """

    of: Ids
    times: Ids
    nearest: Ids
    away: Ids
    inner: Boxes
    growth: Floats
    boxes: Boxes


def extend(nodes: Nodes, ids: Ids, forward: bool, counts: Ids, motion: int) -> Filled:
    """The ``counts`` (K,) frames after hits ``ids`` (K,), or before them; ``motion``: frames to take a speed over."""
    line = lines(nodes, ids, "before" if forward else "after", motion)
    of, steps = _steps(counts)
    times = steps if forward else -steps
    inner, growth, boxes = _ahead(nodes, ids, line, of, times.astype(np.float64))
    return Filled(of, nodes["time"][ids][of] + times, ids[of], steps, inner, growth, boxes)


def bridge(nodes: Nodes, ones: Ids, others: Ids, motion: int) -> Filled:
    """All frames between hits ``ones`` (K,) and the next of their tracks, ``others`` (K,)."""
    clock = nodes["time"]
    frames = clock[others] - clock[ones]
    of, steps = _steps(frames - 1)
    since, until = steps.astype(np.float64), (frames[of] - steps).astype(np.float64)
    before, after = lines(nodes, ones, "before", motion), lines(nodes, others, "after", motion)
    own, next_ = nodes.boxes[ones], nodes.boxes[others]
    straight = own[of] + (next_ - own)[of] * (since / frames[of])[:, None]
    first = since <= until
    onward = np.where(first, before.known[of], ~after.known[of])  # from the nearer, if it has a speed
    tangent = np.where(onward[:, None], before.at(of, since), after.at(of, -until))
    known = before.known[of] | after.known[of]
    inner = _hull(straight, np.where(known[:, None], tangent, straight))
    scale = nodes.floats("scale")
    scale = np.maximum(scale[ones], scale[others])[of]
    noise = np.maximum(before.noise, after.noise)[of]
    growth = scale * (SHAKE + noise + BEND / 2 * since * until) + PIXEL
    boxes = _grown(inner, growth)
    doubt = np.flatnonzero(nodes.flags("doubt")[others][of])
    if len(doubt):
        for line, ids, times in ((before, ones, since), (after, others, -until)):
            boxes[doubt] = _hull(boxes[doubt], _ahead(nodes, ids, line, of[doubt], times[doubt])[2])
    nearest = np.where(first, ones[of], others[of])
    return Filled(of, clock[ones][of] + steps, nearest, np.minimum(since, until).astype(np.int64), inner, growth, boxes)


def _steps(counts: Ids) -> tuple[Ids, Ids]:
    """Index and 1, 2, … count for every count."""
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts) + 1


def _ahead(nodes: Nodes, ids: Ids, line: Line, of: Ids, times: Floats) -> tuple[Boxes, Floats, Boxes]:
    """Boxes that hold objects ``times`` (R,) frames after the hits ``ids[of]``: hull, growth, both together."""
    own = ids[of]
    inner = _hull(nodes.boxes[own], line.at(of, times))
    arm = np.abs(times - line.middle[of])
    lone = np.where(line.known[of], 0.0, UNKNOWN_SPEED * np.abs(times))
    shares = SHAKE + line.error(of, times) + lone + ACCELERATION / 2 * arm * arm
    growth = nodes.floats("scale")[own] * shares + PIXEL
    return inner, growth, _grown(inner, growth)


def _hull(one: Boxes, other: Boxes) -> Boxes:
    return np.concatenate([np.minimum(one[:, :2], other[:, :2]), np.maximum(one[:, 2:], other[:, 2:])], axis=1)


def _grown(boxes: Boxes, growth: Floats) -> Boxes:
    return np.concatenate([boxes[:, :2] - growth[:, None], boxes[:, 2:] + growth[:, None]], axis=1)
