"""Which pictures are kept back to choose thresholds on: whole blocks of neighbours, so that no scene is in both parts.

A picture's part depends on its place among all files of its own set and on nothing else. It stays when another set, or
some pictures, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from training.labels.hand import natural
from training.labels.records import Split
from training.labels.sources import Source

GAP = 2
"""Frames beside validation in a video that are in neither part: they show the same objects."""


def split(source: Source, files: Sequence[str]) -> dict[str, Split]:
    """The part of each file of a set, given all of its files in any order."""
    ordered = sorted(files, key=natural)
    kept_back = {place for place in range(len(ordered)) if _kept_back(source, place)}
    beside = {place + step for place in kept_back for step in range(-GAP, GAP + 1)} if source.video else set()
    return {
        file: "val" if place in kept_back else "gap" if place in beside else "train"
        for place, file in enumerate(ordered)
    }


def _kept_back(source: Source, place: int) -> bool:
    """Whether a place lies in the middle one of each ``every`` blocks."""
    return place // source.block % source.every == source.every // 2
