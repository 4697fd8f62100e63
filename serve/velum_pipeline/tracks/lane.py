"""One class's way through tracking: looks come in, and rows for every frame come out some frames later.

Looks pass the stages in order, each as soon as all that it depends on came in: near links, speeds and wishes across
holes, joined links and which weak detections count, rows. A stage never sees more than its window (`windows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, Floats, Mask, Masks
from velum_pipeline.tracks import fill, links, outlines, rivals
from velum_pipeline.tracks.follow import Luma
from velum_pipeline.tracks.nodes import NONE, Ids, Look, Nodes
from velum_pipeline.tracks.scenes import Scenes
from velum_pipeline.tracks.windows import Windows

Corners: TypeAlias = Floats | None


@dataclass(frozen=True)
class Rows:
    """R objects in one frame.

    boxes: float32 (R, 4). scores: float32 (R,). tracks: (R,) numbers of this lane, of no meaning beyond it. seen: of
    all of them. keys: (R, 3, 2) ordinal and row of up to three detections of the track, NONE where there are fewer;
    rows below NONE are of tracks that cover what another may hide.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    tracks: Ids
    seen: bool
    keys: Ids
    corners: Corners = None
    masks: Masks = None


class Lane:
    """See the module. ``scenes`` is told of cuts by its owner."""

    def __init__(self, windows: Windows, scenes: Scenes, luma: Luma | None = None) -> None:
        self._windows = windows
        self._scenes = scenes
        self._luma = luma
        self._nodes = Nodes()
        self._looks: list[Look] = []
        self._stages = (
            (windows.near, self._link_near),
            (windows.near + windows.motion, self._seek),
            (windows.joined, self._join),
            (windows.settled, self._lay),
        )
        self._done = [0] * len(self._stages)
        self._rows: dict[int, list[Rows]] = {}
        self._tracks = 0
        self._detailed = False

    def look(self, ordinal: int, found: Detections, strong: NDArray[np.bool_]) -> None:
        """What was found of this class in a frame (N,), and what of it reaches the threshold (N,)."""
        if not len(found):
            return
        self._detailed = self._detailed or found.corners is not None or found.masks is not None
        first, stop = self._nodes.add(ordinal, found, strong)
        group, scene = ordinal // self._windows.every, self._scenes.number(ordinal)
        look = Look(ordinal, group, scene, first, stop, found)
        if self._looks:
            look.edges = links.near_edges(self._nodes, self._looks[-1], look)
        self._looks.append(look)

    def advance(self, now: int) -> None:
        """All frames up to ``now`` came in."""
        for number, (lag, stage) in enumerate(self._stages):
            while self._done[number] < len(self._looks) and self._looks[self._done[number]].ordinal + lag <= now:
                stage(self._done[number])
                self._done[number] += 1
        self._forget()

    def rows(self, ordinal: int) -> list[Rows]:
        """What is in a frame; ask once, in order, when all within the windows' radius came in."""
        for passed in [key for key in self._rows if key < ordinal]:
            del self._rows[passed]  # a frame that did not decode
        return self._rows.pop(ordinal, [])

    def _forget(self) -> None:
        """Drop looks that no stage will ask for: what the last stage is at reaches back by less than two radii."""
        if self._done[-1] < 256:
            return
        oldest = self._looks[self._done[-1] - 1].ordinal - 2 * self._windows.radius
        count = next(index for index, look in enumerate(self._looks) if look.ordinal >= oldest)
        nodes = self._looks[count].first
        self._nodes.forget(nodes)
        self._looks = self._looks[count:]
        self._done = [done - count for done in self._done]
        for look in self._looks:
            look.first, look.stop = look.first - nodes, look.stop - nodes
            if look.edges is not None:
                look.edges.moved(nodes)

    def _link_near(self, index: int) -> None:
        if index:
            after = self._looks[index + 1] if index + 1 < len(self._looks) else None
            links.link_near(self._nodes, self._looks[index - 1], self._looks[index], after)

    def _seek(self, index: int) -> None:
        look = self._looks[index]
        links.rate_ends(self._nodes, look, self._windows.motion)
        links.seek_ends(self._nodes, look, self._earliest(index), self._windows.motion, self._windows.gap)

    def _earliest(self, index: int) -> int:
        """The first node that a link over a hole may lead to this look from."""
        ordinal = self._looks[index].ordinal
        earliest = max(ordinal - self._windows.gap, self._scenes.begin(ordinal))
        while index and self._looks[index - 1].ordinal >= earliest:
            index -= 1
        return self._looks[index].first

    def _join(self, index: int) -> None:
        look = self._looks[index]
        links.join(self._nodes, look)
        links.count_weak(self._nodes, look, self._windows.weak)

    def _lay(self, index: int) -> None:
        """Lay down rows: a look's own, those of holes that end with it, those beyond ends that it shows to be ends."""
        nodes, look = self._nodes, self._looks[index]
        rivals.part(nodes, look, self._luma)
        ids = look.ids
        hit, before = nodes.flags("hit"), nodes["before"][ids]
        follows = (before != NONE) & hit[before]
        hits = ids[hit[ids]]
        begins = ids[hit[ids] & ~follows]
        nodes["track"][begins] = np.arange(self._tracks, self._tracks + len(begins))
        self._tracks += len(begins)
        goes_on = hit[ids] & follows
        nodes["track"][ids[goes_on]] = nodes["track"][before[goes_on]]
        self._lay_hits(look, hits)
        if len(begins):
            self._lay_ends(begins, False, self._room(look, begins, False))
        self._lay_holes(before[goes_on], ids[goes_on])
        near = goes_on & nodes.flags("doubt")[ids] & (nodes["near_before"][ids] != NONE)
        self._lay_rivals(index, before[near], ids[near])
        if index >= outlines.CLOSE:  # masks are heavy, and a look so many before this one is close to no later one
            self._looks[index - outlines.CLOSE].found = Detections.empty()
        ends = np.concatenate([before[~hit[ids] & follows], hits[nodes["after"][hits] == NONE]])
        if len(ends):
            self._lay_ends(ends, True, self._room(look, ends, True))

    def _room(self, look: Look, ids: Ids, forward: bool) -> Ids:
        """Frames that hits (K,) of this look, or linked to it, are extended by: links cross no cut."""
        clock = self._nodes["time"][ids]
        begin, end = max(self._scenes.begin(look.ordinal), 0), self._scenes.end(look.ordinal) - 1
        return np.minimum(self._windows.past, end - clock if forward else clock - begin)

    def _lay_hits(self, look: Look, hits: Ids) -> None:
        if not len(hits):
            return
        nodes, before = self._nodes, self._nodes["before"][hits]
        before = np.where(nodes.flags("hit")[before], before, NONE)
        found = look.found.select(nodes.flags("hit")[look.ids])
        keys = self._keys(before, hits, nodes["after"][hits])
        rows = Rows(found.boxes, found.scores, nodes["track"][hits], True, keys, found.corners, found.masks)
        self._rows.setdefault(look.ordinal, []).append(rows)

    def _lay_ends(self, ids: Ids, forward: bool, counts: Ids) -> None:
        filled = fill.extend(self._nodes, ids, forward, counts, self._windows.motion, self._luma)
        nobody = np.full(len(ids), NONE)
        self._split(filled, self._nodes["track"][ids], self._keys(nobody, ids, nobody))

    def _lay_rivals(self, index: int, ones: Ids, others: Ids) -> None:
        """Cover what near links to this look hide where they are between two objects: each beyond the other's hit."""
        if not len(ones):
            return
        nodes, look, windows = self._nodes, self._looks[index], self._windows
        latest = self._looks[index - 1].ordinal + windows.gap, look.ordinal + windows.weak
        window = self._earliest(index), self._looks[-1].stop, min(*latest, self._scenes.end(look.ordinal) - 1)
        before, after = rivals.rivals(nodes, ones, others, window, windows.motion, self._luma)
        for forward, chosen, own, theirs in ((True, before, ones, others), (False, after, others, ones)):
            if chosen.any():
                self._lay_missed(look, own[chosen], theirs[chosen], forward)

    def _lay_missed(self, look: Look, ids: Ids, wrong: Ids, forward: bool) -> None:
        """Where hits (K,) may be from the detections on that they are wrongly linked to: tracks of their own."""
        clock = self._nodes["time"]
        counts, nobody = np.minimum(self._room(look, ids, forward), self._windows.missed), np.full(len(ids), NONE)
        filled = fill.extend(self._nodes, ids, forward, counts, self._windows.motion, self._luma)
        keys = self._keys(nobody, ids, nobody)
        keys[:, 1, 1] = NONE - 1 - 2 * keys[:, 1, 1] - forward  # no hit's own
        tracks = np.arange(self._tracks, self._tracks + len(ids))
        self._tracks += len(ids)
        self._split(filled.beyond(np.abs(clock[wrong] - clock[ids])), tracks, keys)

    def _lay_holes(self, ones: Ids, others: Ids) -> None:
        clock = self._nodes["time"]
        holes = clock[others] - clock[ones] > 1
        ones, others = ones[holes], others[holes]
        if len(ones):
            short = max(outlines.CLOSE, self._windows.every)
            filled = fill.bridge(self._nodes, ones, others, self._windows.motion, self._luma, short)
            keys = self._keys(ones, others, np.full(len(ones), NONE))
            self._split(filled, self._nodes["track"][ones], keys, (ones, others))

    def _split(self, filled: fill.Filled, tracks: Ids, keys: Ids, pairs: tuple[Ids, Ids] | None = None) -> None:
        """Rows frame by frame. tracks (K,), keys (K, 3, 2): of the hits or pairs; pairs: of nodes, when between two."""
        order = np.argsort(filled.times, kind="stable")
        times, of = filled.times[order], filled.of[order]
        scores = self._nodes.floats("score")[filled.nearest].astype(np.float32) * fill.DECAY[filled.away]
        boxes, scores, tracks, keys = filled.boxes[order].astype(np.float32), scores[order], tracks[of], keys[of]
        borders = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]
        for first, stop in pairwise(borders if len(times) else ()):
            own = slice(first, stop)
            corners, masks = (None, None) if pairs is None else self._carried(filled, order[own], pairs)
            laid = Rows(boxes[own], scores[own], tracks[own], False, keys[own], corners, masks)
            self._rows.setdefault(int(times[first]), []).append(laid)

    def _carried(self, filled: fill.Filled, rows: Ids, pairs: tuple[Ids, Ids]) -> tuple[Corners, Masks]:
        """Corners and masks of filled rows between hits that are close enough, None where no row has any."""
        clock, of = self._nodes["time"], filled.of[rows]
        frames = clock[pairs[1]][of] - clock[pairs[0]][of]
        if not self._detailed or frames.min() > outlines.CLOSE:
            return None, None
        corners = np.full((len(rows), 4, 2), np.nan, np.float32)
        masks: list[Mask | None] = [None] * len(rows)
        for place in np.flatnonzero(frames <= outlines.CLOSE).tolist():
            row, one, other = rows[place], int(pairs[0][of[place]]), int(pairs[1][of[place]])
            inner, growth = filled.inner[row], float(filled.growth[row])
            (points, mask), (further, next_mask) = self._detail(one), self._detail(other)
            if points is not None and further is not None:
                share = float(filled.times[row] - clock[one]) / float(frames[place])
                corners[place] = outlines.between(points, further, share, inner, growth)
            if mask is not None and next_mask is not None:
                ends = self._nodes.boxes[one], self._nodes.boxes[other]
                masks[place] = outlines.both((mask, next_mask), ends, inner, growth)
        cornered = np.isfinite(corners).any()
        return corners if cornered else None, tuple(masks) if any(masks) else None

    def _detail(self, node: int) -> tuple[Corners, Mask | None]:
        """The corners (4, 2) and the mask of a node's detection."""
        look = next(look for look in reversed(self._looks) if look.first <= node)
        row, found = node - look.first, look.found
        return None if found.corners is None else found.corners[row], found.masks[row] if found.masks else None

    def _keys(self, before: Ids, own: Ids, after: Ids) -> Ids:
        clock, rows = self._nodes["time"], self._nodes["row"]
        ids = np.stack([before, own, after], axis=1)
        return np.where((ids != NONE)[..., None], np.stack([clock[ids], rows[ids]], axis=2), NONE)
