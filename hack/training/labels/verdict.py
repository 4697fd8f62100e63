"""What two teachers together hold for an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.labels.boxes import iou, same
from training.labels.records import Box

AGREE_IOU = 0.4
"""Two teachers mean one object."""


@dataclass(frozen=True)
class Sighting:
    """An object as a teacher sees it; ``score`` 0..1."""

    bbox: Box
    score: float
    corners: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """Contract scores. One teacher at ``sure`` or two at ``both`` see an object; from ``weak`` on it is in doubt."""

    sure: float
    both: float
    weak: float


@dataclass(frozen=True)
class Verdict:
    """Objects, and what may be one."""

    sure: tuple[Sighting, ...]
    doubtful: tuple[Sighting, ...]


def judge(first: Sequence[Sighting], second: Sequence[Sighting], rule: Rule) -> Verdict:
    """Pair what two teachers see, best first, and weigh it. A pair's box and corners are the mean of both."""
    first, second = ([each for each in seen if each.score >= rule.weak] for seen in (first, second))
    sure: list[Sighting] = []
    doubtful: list[Sighting] = []
    left = list(second)
    for one in first:
        other = max(left, key=lambda each: iou(one.bbox, each.bbox), default=None)
        if other is None or iou(one.bbox, other.bbox) <= AGREE_IOU:
            (sure if one.score >= rule.sure else doubtful).append(one)
            continue
        left.remove(other)
        agreed = max(one.score, other.score) >= rule.sure or min(one.score, other.score) >= rule.both
        (sure if agreed else doubtful).append(_mean(one, other))
    for other in left:
        (sure if other.score >= rule.sure else doubtful).append(other)
    unique = _unique(sure, [])
    return Verdict(tuple(unique), tuple(_unique(doubtful, unique)))


def _mean(one: Sighting, other: Sighting) -> Sighting:
    x1, y1, x2, y2 = ((a + b) / 2 for a, b in zip(one.bbox, other.bbox, strict=True))
    corners = one.corners or other.corners
    if one.corners and other.corners:
        corners = tuple((a + b) / 2 for a, b in zip(one.corners, other.corners, strict=True))
    return Sighting((x1, y1, x2, y2), max(one.score, other.score), corners)


def _unique(sightings: Sequence[Sighting], known: Sequence[Sighting]) -> list[Sighting]:
    """The sightings without those that are the same object as a better or a known one."""
    kept: list[Sighting] = []
    for sighting in sorted(sightings, key=lambda each: (-each.score, each.bbox)):
        if not any(same(sighting.bbox, other.bbox) for other in (*kept, *known)):
            kept.append(sighting)
    return kept
