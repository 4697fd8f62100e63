"""How a detection moves: a line through the hits of its chain, for each edge of the box.

Sums run hit by hit, never over an axis: numpy adds along an axis in an order that depends on how much there is to add,
and then two processes would differ in the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks.nodes import NONE, Boxes, Ids, Nodes

Floats = NDArray[np.float64]

NOISE = 0.03
"""By how much of its size a detector places an edge wrongly without anything being the matter."""
MAX_NOISE = 0.06
"""The most that hits beside their line count as: errors of a detector and of a shaking hand together. More is a turn,
which `fill` has other terms for; counted as noise it would make what is covered beyond a track's ends half as large
again (70 frames of a street, 49 tracks), for nothing that was found to need it."""


@dataclass(frozen=True)
class Line:
    """Straight lines through the last (or next) hits of K detections, times counted from each one's own frame.

    middle: (K,) mean of the hits' times. mean, slope: (K, 4) box there, and pixels a frame. arm: (K,) by how much of a
    hit's error the slope can err. noise: (K,) the hits' error in scales. known: (K,) whether there is more than one
    hit; the slope is 0 without.
    """

    middle: Floats
    mean: Boxes
    slope: Boxes
    arm: Floats
    noise: Floats
    known: NDArray[np.bool_]

    def at(self, rows: Ids, times: Floats) -> Boxes:
        """The boxes (R, 4) of detections ``rows`` (R,) ``times`` frames later."""
        return self.mean[rows] + self.slope[rows] * (times - self.middle[rows])[:, None]

    def error(self, rows: Ids, times: Floats) -> Floats:
        """How wrong they can be because the hits are, in scales (R,)."""
        reach = np.abs(times - self.middle[rows])
        return self.noise[rows] * (1 + reach * self.arm[rows])


def lines(nodes: Nodes, ids: Ids, link: str, frames: int) -> Line:
    """The lines of nodes ``ids`` (K,) through the chain that ``link`` makes, as far as ``frames`` from each."""
    chain = _chain(nodes, ids, link, frames)
    own = nodes.boxes[ids]
    count, sum_t, sum_tt = (np.zeros(len(ids)) for _ in range(3))
    sum_x, sum_tx = np.zeros((len(ids), 4)), np.zeros((len(ids), 4))
    for there, times, boxes in chain:
        offset = (boxes - own) * there[:, None]
        count += there
        sum_t += times
        sum_tt += times * times
        sum_x += offset
        sum_tx += offset * times[:, None]
    middle, mean = sum_t / count, sum_x / count[:, None]
    known = count > 1
    spread = np.where(known, sum_tt - sum_t * middle, 1.0)
    slope = np.where(known[:, None], sum_tx - sum_t[:, None] * mean, 0.0) / spread[:, None]
    arm, worst = np.zeros(len(ids)), np.zeros(len(ids))
    for there, times, boxes in chain:
        away = (times - middle) * there
        arm += np.abs(away)
        missed = np.abs(boxes - own - mean - slope * away[:, None]) * there[:, None]
        worst = np.maximum(worst, missed.max(axis=1))
    noise = np.clip(worst / nodes.floats("scale")[ids], NOISE, MAX_NOISE)
    return Line(middle, own + mean, slope, np.where(known, arm / spread, 0.0), noise, known)


def _chain(nodes: Nodes, ids: Ids, link: str, frames: int) -> list[tuple[Floats, Floats, Boxes]]:
    """Step by step along the chains: 1 where there still is a hit else 0 (K,), its time from the start, its box."""
    start, links, clock = nodes["time"][ids], nodes[link], nodes["time"]
    steps, at, there = [], ids, np.ones(len(ids), np.bool_)
    while there.any():
        alive = there.astype(np.float64)
        steps.append((alive, (clock[at] - start) * alive, nodes.boxes[at]))
        following = links[at]
        there = there & (following != NONE)
        at = np.where(there, following, at)
        there = there & (np.abs(clock[at] - start) <= frames)
    return steps
