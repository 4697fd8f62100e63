"""Which detections are the same object: first between neighbouring looks, then across holes.

Both times two detections are linked when each is the other's best: what a crowd makes doubtful stays unlinked, and both
ends are extended. Distances are the largest of a box's four edges, in scales (`nodes.scales`), so that they
tell of place and size at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.tracks.motion import lines
from velum_pipeline.tracks.nodes import FAR, NONE, Edges, Flags, Ids, Look, Nodes

Floats = NDArray[np.float64]

NEAR_GATE, NEAR_SPEED = 0.3, 0.6
"""Neighbouring looks: so many scales, and so many a frame, may an object move. A car that passes at 15 m/s in ten
metres' distance moves by half its plate's length in a frame of 1/30 s."""
SAME_SIZE = 0.45
"""The smaller scale by the larger; what comes in over the picture's edge grows fastest."""
STANDSTILL = 0.1
"""What a scale of displacement costs beside one of change in speed: of two ways equally steady the shorter."""
UNSTEADY = 0.3, 0.02
"""Scales, and scales by frames squared, that an object's motion may change from look to look. A near link that asks for
more on both sides is none; one that does on one side, or that another pair would be nearly as good as, is doubtful."""
FAR_GATE = 0.4
"""Across holes: what boxes may differ by from where they should be, before time makes it more."""
FAR_RATE = {"both": 0.1, "one": 0.15, "none": 0.25}
"""More for every frame, by how many of both ends' speeds are known. A walker's face moves by 0.2 of its size."""
WIDEST = 2.5
"""However long the hole."""
DOUBTFUL = 0.5
"""Of the gate. A link beyond may be between two objects, and the hole then is covered for both."""


def near_edges(nodes: Nodes, before: Look, look: Look) -> Edges | None:
    """All pairs that may be one object in two neighbouring looks; None where looks are no neighbours."""
    if look.group != before.group + 1 or look.scene != before.scene:
        return None
    frames = look.ordinal - before.ordinal
    scale = nodes.floats("scale")
    boxes = nodes.boxes
    step = boxes[None, look.first : look.stop] - boxes[before.first : before.stop, None]
    one, other = scale[before.first : before.stop, None], scale[None, look.first : look.stop]
    larger, smaller = np.maximum(one, other), np.minimum(one, other)
    apart = np.abs(step).max(axis=2) / larger
    rows, columns = np.nonzero((apart <= NEAR_GATE + NEAR_SPEED * frames) & (smaller >= SAME_SIZE * larger))
    return Edges(rows + before.first, columns + look.first, step[rows, columns] / frames, frames)


def link_near(nodes: Nodes, before: Look, look: Look, after: Look | None) -> None:
    """Link a look to the one before, by how steadily objects then come from, and go on to, the looks beyond."""
    edges = look.edges
    if edges is None or not len(edges.one):
        return
    scale = nodes.floats("scale")
    scale = np.maximum(scale[edges.one], scale[edges.other]) / edges.frames
    moved = np.abs(edges.rate).max(axis=1) / scale
    past, next_ = before.edges, None if after is None else after.edges
    changes = [
        _change(edges, edges.one, past, None if past is None else past.other),
        _change(edges, edges.other, next_, None if next_ is None else next_.one),
    ]
    least, most = (choose(changes[0], changes[1]) / scale for choose in (np.minimum, _larger))
    neither = np.isinf(least)
    least, most = np.where(neither, moved, least), np.where(neither, moved, most)
    cost = least + most + STANDSTILL * moved
    shape = before.stop - before.first, look.stop - look.first
    best, rival = _mutual(edges.one - before.first, edges.other - look.first, cost, shape)
    tolerance = UNSTEADY[0] + UNSTEADY[1] * edges.frames**2
    best &= least <= tolerance
    one, other = edges.one[best], edges.other[best]
    nodes["near_after"][one], nodes["near_before"][other] = other, one
    nodes.flags("doubt")[other] = ((most > tolerance) | (rival < cost + tolerance))[best]


def _larger(one: Floats, other: Floats) -> Floats:
    """The larger of each two, of those that are known."""
    larger: Floats = np.where(np.isinf(one), other, np.where(np.isinf(other), one, np.maximum(one, other)))
    return larger


def _change(edges: Edges, own: Ids, others: Edges | None, theirs: Ids | None) -> Floats:
    """The least change of motion (E,), pixels a frame, to an edge that shares the node ``own``; inf without."""
    least = np.full(len(own), np.inf)
    if others is None or theirs is None or not len(theirs):
        return least
    order = np.argsort(theirs, kind="stable")
    sorted_theirs = theirs[order]
    first, stop = np.searchsorted(sorted_theirs, own), np.searchsorted(sorted_theirs, own, "right")
    counts = stop - first
    some = np.flatnonzero(counts)
    if not len(some):
        return least
    begins = np.cumsum(counts[some]) - counts[some]
    pairs = np.repeat(some, counts[some])
    partner = order[np.arange(len(pairs)) - np.repeat(begins, counts[some]) + first[pairs]]
    change = np.abs(edges.rate[pairs] - others.rate[partner]).max(axis=1)
    least[some] = np.minimum.reduceat(change, begins)
    return least


def _mutual(rows: Ids, columns: Ids, cost: Floats, shape: tuple[int, int]) -> tuple[Flags, Floats]:
    """Which of the pairs (E,) are the cheapest both of their row and of their column, and what the next would cost."""
    table = np.full(shape, np.inf)
    table[rows, columns] = cost
    best: Flags = (table.argmin(axis=1)[rows] == columns) & (table.argmin(axis=0)[columns] == rows)
    table[rows[best], columns[best]] = np.inf
    return best, np.minimum(table.min(axis=1)[rows], table.min(axis=0)[columns])


def rate_ends(nodes: Nodes, look: Look, motion: int) -> None:
    """Take the speed of what has no near link on from here."""
    ids = look.ids
    ends = ids[nodes["near_after"][look.first : look.stop] == NONE]
    if len(ends):
        line = lines(nodes, ends, "near_before", motion)
        nodes.floats("rate")[ends], nodes.flags("rated")[ends] = line.slope, line.known


def seek_ends(nodes: Nodes, look: Look, first: int, motion: int, gap: int) -> None:
    """Find for what begins here the best end to go on from, among nodes from ``first`` to before this look's."""
    begins = look.ids[nodes["near_before"][look.first : look.stop] == NONE]
    ends = np.arange(first, look.first)
    ends = ends[nodes["near_after"][first : look.first] == NONE]
    if not (len(begins) and len(ends)):
        return
    line = lines(nodes, begins, "near_after", motion)
    frames = (look.ordinal - nodes["time"][ends]).astype(np.float64)[None]
    far, _ = apart(nodes, begins, ends, (line.slope, line.known), frames)
    cost = np.where(far <= 1, far + frames / gap, np.inf)
    best = cost.argmin(axis=1)
    found = np.isfinite(cost[np.arange(len(begins)), best])
    nodes["wanted_before"][begins[found]] = ends[best[found]]
    nodes.flags("doubt")[begins[found]] = (far[np.arange(len(begins)), best] > DOUBTFUL)[found]
    nearest = cost.argmin(axis=0)
    least = cost[nearest, np.arange(len(ends))]
    better = least < nodes.floats("wanted_cost")[ends]
    nodes["wanted_after"][ends[better]], nodes.floats("wanted_cost")[ends[better]] = (
        begins[nearest[better]],
        least[better],
    )


def apart(nodes: Nodes, begins: Ids, ends: Ids, motion: tuple[Floats, Flags], frames: Floats) -> tuple[Floats, Floats]:
    """How far beginnings (B,) are from where ends (E,) lead: (B, E) each, 1 at the gate, and in scales.

    motion: the beginnings' slopes (B, 4) and which are known (B,); that of ends is their ``rate``. frames: between
    them, (1, E) or (B, E). With both speeds the way between them is their mean's: exact for a steady acceleration.
    """
    slope, known = motion
    rated = nodes.flags("rated")[ends][None]
    known = known[:, None]
    before = np.where(rated[..., None], nodes.floats("rate")[ends][None], slope[:, None])
    after = np.where(known[..., None], slope[:, None], before)
    way = (before + after) / 2 * frames[..., None]
    missed = np.abs(nodes.boxes[begins][:, None] - nodes.boxes[ends][None] - way).max(axis=2)
    scale = nodes.floats("scale")
    larger = np.maximum(scale[begins][:, None], scale[ends][None])
    smaller = np.minimum(scale[begins][:, None], scale[ends][None])
    rate = np.where(known & rated, FAR_RATE["both"], np.where(known | rated, FAR_RATE["one"], FAR_RATE["none"]))
    gate = np.minimum(FAR_GATE + rate * frames, WIDEST)
    error = missed / larger
    return np.where(smaller >= SAME_SIZE * larger, error / gate, np.inf), error


def join(nodes: Nodes, look: Look) -> None:
    """Settle the links that lead on from a look: the near ones, and those that both ends want."""
    ids = look.ids
    near, wanted = nodes["near_after"][ids], nodes["wanted_after"][ids]
    mutual = (near == NONE) & (wanted != NONE) & (nodes["wanted_before"][wanted] == ids)
    after = np.where(near != NONE, near, np.where(mutual, wanted, NONE))
    nodes["after"][ids] = after
    linked = after != NONE
    nodes["before"][after[linked]] = ids[linked]


def count_weak(nodes: Nodes, look: Look, reach: int) -> None:
    """Count weak detections that links lead to from a strong one at most ``reach`` frames away, in both directions."""
    ids, clock, strong = look.ids, nodes["time"], nodes.flags("strong")
    before = nodes["before"][ids]
    since = np.where(before != NONE, nodes["since"][before] + look.ordinal - clock[before], FAR)
    since = np.where(strong[ids], 0, np.minimum(since, FAR))
    nodes["since"][ids] = since
    nodes.flags("hit")[ids] |= since <= reach
    at = before[strong[ids]]
    while len(at):
        at = at[at != NONE]
        at = at[~strong[at] & (look.ordinal - clock[at] <= reach)]
        nodes.flags("hit")[at] = True
        at = nodes["before"][at]
