"""Near links that may have taken one object for another, because another track is missed there.

Two objects cross and the detector finds one of them in one look and the other in the next: neighbours, near enough to
be linked, and nothing else in those looks that would be a better choice. Then the first is not found where the link
leads, the second not where it comes from, and no hole says so. What does say so are the two ends that this leaves: a
track that ends before, and leads to the second as well as the first does, or one that begins behind, and is as well
where the first leads. Such a link stays, but both its detections are covered as if it were none.
Nor is it one where pixels show it. Where pixels show two objects on the sides of a hole, links over it are undone.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.tracks import trails
from velum_pipeline.tracks.follow import Luma
from velum_pipeline.tracks.links import apart
from velum_pipeline.tracks.motion import Line, lines
from velum_pipeline.tracks.nodes import NONE, Boxes, Flags, Ids, Look, Nodes

LIKELY = 0.5
"""Of the gate across holes, within which a track leads to a detection."""
AS_WELL = 0.1
"""Scales by which it may do so worse than the link in question."""


def part(nodes: Nodes, look: Look, luma: Luma | None) -> None:
    """Undo links from a look over holes where two objects are seen: both then are covered beyond their ends.

    Not before it is settled which detections count: there are many more that do not.
    """
    ids = look.ids
    nodes["before"][ids[nodes.flags("parted")[ids]]] = NONE
    if luma is None:
        return
    boxes, clock, after = nodes.boxes, nodes["time"], nodes["after"]
    for one in ids[nodes.flags("hit")[ids] & (after[ids] != NONE) & (nodes["near_after"][ids] == NONE)].tolist():
        other = int(after[one])
        if trails.elsewhere(luma, boxes[one], look.ordinal, boxes[other], int(clock[other])):
            after[one], nodes.flags("parted")[other] = NONE, True


def rivals(
    nodes: Nodes, ones: Ids, others: Ids, window: tuple[int, int, int], motion: int, luma: Luma | None
) -> tuple[Flags, Flags]:
    """Of near links from ``ones`` (K,) of one look to ``others`` (K,) of the next, K at least 1: whether another track
    may lead to the second (K,), and whether the first may lead to another track (K,).

    What leads to the second may be another object's from there on: the hole behind it is put in doubt. window: the
    first node that counts, that after the last, and the last frame. motion: frames to take a speed over.
    """
    first, stop, latest = window
    came, goes = lines(nodes, ones, "near_before", motion), lines(nodes, others, "near_after", motion)
    nodes.floats("rate")[ones], nodes.flags("rated")[ones] = came.slope, came.known
    unlike = _unlike(nodes, ones, others, came, goes) + AS_WELL
    clock = nodes["time"]
    now, then = int(clock[ones[0]]), int(clock[others[0]])
    ends = np.arange(first, int(others.min()))
    ends = ends[(nodes["near_after"][ends] == NONE) & (clock[ends] < then)]
    after = _over_hole(nodes, ends, "wanted_after", "wanted_before")
    open_ = (after == NONE) | (clock[after] > then)
    ends, after = ends[open_], after[open_]
    begins = np.arange(int(ones.max()) + 1, stop)
    begins = begins[(nodes["near_before"][begins] == NONE) & (clock[begins] > now) & (clock[begins] <= latest)]
    before = _over_hole(nodes, begins, "wanted_before", "wanted_after")
    begins = begins[(before == NONE) | (clock[before] < now)]
    from_ends = _likely(nodes, others, ends, (goes.slope, goes.known), unlike[:, None])
    line = lines(nodes, begins, "near_after", motion)
    to_begins = _likely(nodes, begins, ones, (line.slope, line.known), unlike[None])
    led, leads = from_ends.any(axis=1), to_begins.any(axis=0)
    wrong = np.asarray(led | leads, np.bool_)
    if luma is not None:
        wrong = _unseen(nodes, ones, others, wrong, luma)
    holes = after[from_ends[wrong].any(axis=0)]
    nodes.flags("doubt")[holes[holes != NONE]] = True
    return led & wrong, leads & wrong


def _over_hole(nodes: Nodes, ids: Ids, link: str, back: str) -> Ids:
    """What is linked to ends, or beginnings, over holes (K,), NONE where nothing is; `part` makes no difference here:
    it depends on what counts, and that on frames too far away."""
    wanted = nodes[link][ids]
    return np.where((wanted != NONE) & (nodes[back][wanted] == ids), wanted, NONE)


def _unseen(nodes: Nodes, ones: Ids, others: Ids, asked: Flags, luma: Luma) -> Flags:
    """Which of the links that are asked for pixels do not show to be of one object."""
    wrong, clock = asked.copy(), nodes["time"]
    for place in np.flatnonzero(asked).tolist():
        one, other = int(ones[place]), int(others[place])
        ends = nodes.boxes[one], int(clock[one]), nodes.boxes[other], int(clock[other])
        wrong[place] = not trails.there(luma, *ends)
    return wrong


def _unlike(nodes: Nodes, ones: Ids, others: Ids, came: Line, goes: Line) -> Boxes:
    """By how many scales (K,) links miss where both sides' motion leads."""
    frames = (nodes["time"][others] - nodes["time"][ones])[:, None]
    rate = (came.slope + goes.slope) / np.maximum(came.known.astype(np.int64) + goes.known, 1)[:, None]
    scale = nodes.floats("scale")
    missed = np.abs(nodes.boxes[others] - nodes.boxes[ones] - rate * frames).max(axis=1)
    unlike: Boxes = missed / np.maximum(scale[ones], scale[others])
    return unlike


def _likely(nodes: Nodes, begins: Ids, ends: Ids, motion: tuple[Boxes, Flags], unlike: Boxes) -> Flags:
    """Which of the pairs (B, E) may be one object rather than what is ``unlike`` (B or 1, E or 1) it."""
    frames = (nodes["time"][begins][:, None] - nodes["time"][ends][None]).astype(np.float64)
    far, error = apart(nodes, begins, ends, motion, frames)
    likely: Flags = (far <= LIKELY) & (error <= unlike)
    return likely
