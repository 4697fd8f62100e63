"""Where an object is in frames in which it was not found: boxes that hold it, not boxes that fit it.

A hole between two hits is covered by the straight way between them together with the way on from the nearer hit at its
speed (the other's where it has none): an object that speeds up, slows down or turns the same way all along is between
the two, for a curve that bends one way lies between its chord and its tangent. Before the first and after the last hit
an object may stand still or move on, so both are covered, and all between. On top boxes grow on every side by

    scale * (SHAKE + the hits' noise, carried on along the line + ACCELERATION / 2 * frames²)

with, between two hits, ``BEND / 2 * frames to one * frames to the other`` as the last term, the most by which a way
whose acceleration is at most ``BEND`` leaves its chord.

All that is what boxes tell. Where frames can be looked at, pixels tell more, and what boxes tell counts only as far as
the pixels leave it in doubt (`trails`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks.follow import Luma
from velum_pipeline.tracks.hulls import grown, hull
from velum_pipeline.tracks.motion import Line, lines
from velum_pipeline.tracks.nodes import Boxes, Ids, Nodes, scales
from velum_pipeline.tracks.trails import trail

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

    def beyond(self, least: Ids) -> Filled:
        """The boxes at least so many frames (K,) from their hits."""
        kept = self.away >= least[self.of]
        rows = (self.of, self.times, self.nearest, self.away)
        of, times, nearest, away = (each[kept] for each in rows)
        return Filled(of, times, nearest, away, self.inner[kept], self.growth[kept], self.boxes[kept])


def extend(nodes: Nodes, ids: Ids, forward: bool, counts: Ids, motion: int, luma: Luma | None) -> Filled:
    """The ``counts`` (K,) frames after hits ``ids`` (K,), or before them; ``motion``: frames to take a speed over.

    luma: what the frames show, None where that is not to be looked at.
    """
    line = lines(nodes, ids, "before" if forward else "after", motion)
    of, steps = _steps(counts)
    times = steps if forward else -steps
    if luma is None:
        inner, growth, boxes = _ahead(nodes, ids, line, of, times.astype(np.float64))
    else:
        inner, growth, _ = _seen_ahead(nodes, ids, line, of, times, luma)
        boxes = grown(inner, growth)
    return Filled(of, nodes["time"][ids][of] + times, ids[of], steps, inner, growth, boxes)


def bridge(nodes: Nodes, ones: Ids, others: Ids, motion: int, luma: Luma | None, short: int) -> Filled:
    """All frames between hits ``ones`` (K,) and the next of their tracks, ``others`` (K,).

    luma: what the frames show, None where that is not to be looked at; nor is it between hits ``short`` frames apart
    or less, unless it is in doubt that they are of one object.
    """
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
    inner = hull(straight, np.where(known[:, None], tangent, straight))
    scale = nodes.floats("scale")
    scale = np.maximum(scale[ones], scale[others])[of]
    noise = np.maximum(before.noise, after.noise)[of]
    growth = scale * (SHAKE + noise + BEND / 2 * since * until) + PIXEL
    boxes = grown(inner, growth)
    doubted = nodes.flags("doubt")[others][of]
    doubt, followed = np.flatnonzero(doubted), np.flatnonzero(doubted | (frames[of] > short))
    if luma is not None:
        rows, gone = of[followed], frames[of] - steps
        ends = [
            _seen_ahead(nodes, ones, before, rows, steps[followed], luma),
            _seen_ahead(nodes, others, after, rows, -gone[followed], luma),
        ]
        boxes[followed] = _between(boxes[followed], doubted[followed], ends)
    elif len(doubt):
        for line, ids, times in ((before, ones, since), (after, others, -until)):
            boxes[doubt] = hull(boxes[doubt], _ahead(nodes, ids, line, of[doubt], times[doubt])[2])
    nearest = np.where(first, ones[of], others[of])
    return Filled(of, clock[ones][of] + steps, nearest, np.minimum(since, until).astype(np.int64), inner, growth, boxes)


def _steps(counts: Ids) -> tuple[Ids, Ids]:
    """Index and 1, 2, … count for every count."""
    of = np.repeat(np.arange(len(counts)), counts)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts) + 1


def _ahead(nodes: Nodes, ids: Ids, line: Line, of: Ids, times: Floats) -> tuple[Boxes, Floats, Boxes]:
    """Boxes that hold objects ``times`` (R,) frames after the hits ``ids[of]``: hull, growth, both together."""
    own = ids[of]
    inner = hull(nodes.boxes[own], line.at(of, times))
    arm = np.abs(times - line.middle[of])
    lone = np.where(line.known[of], 0.0, UNKNOWN_SPEED * np.abs(times))
    shares = SHAKE + line.error(of, times) + lone + ACCELERATION / 2 * arm * arm
    growth = nodes.floats("scale")[own] * shares + PIXEL
    return inner, growth, grown(inner, growth)


def _seen_ahead(nodes: Nodes, ids: Ids, line: Line, of: Ids, times: Ids, luma: Luma) -> tuple[Boxes, Floats, Floats]:
    """Boxes that hold objects ``times`` (R,) frames after the hits ``ids[of]``, by what is to be seen: inner, growth,
    doubt (R,). Rows of a hit follow each other."""
    inner, growth, doubt = np.zeros((len(of), 4)), np.zeros(len(of)), np.zeros(len(of))
    clock = nodes["time"]
    for one in np.unique(of).tolist():
        rows = np.flatnonzero(of == one)
        rows = rows[np.argsort(np.abs(times[rows]))]  # away from the hit
        own, at = nodes.boxes[ids[one]], int(clock[ids[one]])
        index = np.full(len(rows) + 1, one)
        way = line.at(index, np.concatenate([[0], times[rows]]).astype(np.float64))
        inner[rows], growth[rows], doubt[rows] = trail(luma, own, at, (times[rows] + at).tolist(), way)
    growth = scales(inner) * (growth + line.noise[of]) + PIXEL
    return inner, growth, doubt


def _between(boxes: Boxes, doubted: NDArray[np.bool_], ends: list[tuple[Boxes, Floats, Floats]]) -> Boxes:
    """Boxes of a hole's frames (R, 4): by both hits' pixels while they are to be seen, else by ``boxes``."""
    growth = np.minimum(ends[0][1], ends[1][1])
    sides = []
    for inner, own, doubt in ends:
        seen = np.where(doubted[:, None], grown(inner, own), grown(inner, growth))
        share = np.where(doubted, 0.0, doubt)[:, None]
        sides.append(seen + share * (boxes - seen))
    return hull(*sides)
