"""Tracks counted: how many stay hidden in all their frames, and how long the others are in sight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from evaluation.tracks.exposure import Sight
from velum_pipeline.options import ObjectClass

BANDS = ((0.0, 24.0), (24.0, 48.0), (48.0, float("inf")))
"""Pixels, a track's mean size: the side of the square that has its box's area."""


@dataclass(frozen=True)
class Figures:
    """Of some tracks. frames: those in which they have to be hidden. longest: frames in a row that one was in sight."""

    tracks: int
    recalled: int
    frames: int
    exposed: int
    longest: int

    @classmethod
    def of(cls, sights: Sequence[Sight]) -> Figures:
        """Count the tracks."""
        exposed = [sight.exposed for sight in sights]
        return cls(
            len(sights),
            sum(not any(each) for each in exposed),
            sum(len(each) for each in exposed),
            sum(sum(each) for each in exposed),
            max((_longest(sight) for sight in sights), default=0),
        )

    @property
    def recall(self) -> float | None:
        """The share of tracks that are hidden in all their frames; None of none."""
        return self.recalled / self.tracks if self.tracks else None

    @property
    def exposed_share(self) -> float | None:
        """The share of frames, over all tracks, in which one is in sight; None of none."""
        return self.exposed / self.frames if self.frames else None

    def document(self) -> dict[str, Any]:
        """As it is written to JSON."""
        return {
            "tracks": self.tracks,
            "track_recall": _rounded(self.recall),
            "frames": self.frames,
            "exposed_share": _rounded(self.exposed_share),
            "longest_exposure": self.longest,
        }


def band(size: float) -> str:
    """The name of a size's band."""
    low, high = next(each for each in BANDS if each[0] <= size < each[1])
    return f"{low:g}-{high:g} px" if high < float("inf") else f"{low:g}+ px"


def by_size(sights: Iterable[Sight]) -> dict[str, Figures]:
    """The figures of each band that has tracks, small ones first."""
    ordered = sorted(sights, key=lambda sight: sight.size)
    return {name: Figures.of(list(each)) for name, each in groupby(ordered, key=lambda sight: band(sight.size))}


def by_class(sights: Sequence[Sight], classes: Mapping[int, ObjectClass]) -> dict[str, Figures]:
    """The figures of each class that has tracks. ``classes``: of each track."""
    return {
        str(name): Figures.of(own)
        for name in ObjectClass
        if (own := [sight for sight in sights if classes[sight.track] is name])
    }


def _longest(sight: Sight) -> int:
    """Frames without a break; a frame that asks for nothing breaks it."""
    longest = run = 0
    last = None
    for number, exposed in zip(sight.numbers, sight.exposed, strict=True):
        run = (run if last == number - 1 else 0) + 1 if exposed else 0
        longest, last = max(longest, run), number
    return longest


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
