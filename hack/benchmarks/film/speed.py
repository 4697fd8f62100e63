"""Frames per second, from file to file: whole commands, in turns over the same clips, each with all cores."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.tracks import clips
from film.sides import Side, Spent


@dataclass(frozen=True)
class Speed:
    """One side over all clips: frames of all of them, and the sums of its median seconds. outputs: the last ones."""

    side: Side
    frames: int
    wall: float
    cpu: float
    outputs: Mapping[Path, Path]
    each: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Frames per second of wall time."""
        return self.frames / self.wall

    @property
    def cpu_rate(self) -> float:
        """Frames per second of one core's time."""
        return self.frames / self.cpu


def measure(sides: Sequence[Side], sources: Sequence[Path], folder: Path, turns: int) -> dict[str, Speed]:
    """Every side over every clip, so often. Raises SideFailed, SetInvalid.

    A run before them, over the shortest clip, does not count: code that a fresh installation compiles is kept.
    """
    counts = {source: clips.described(source)[1] for source in sources}
    spent: dict[tuple[str, Path], list[Spent]] = {}
    targets = {
        (side.name, source): folder / f"{number}-{source.stem}.mp4"
        for number, side in enumerate(sides)
        for source in sources
    }
    for side in sides:
        shortest = min(sources, key=lambda source: counts[source])
        side.run(shortest, targets[side.name, shortest])
    for _ in range(turns):
        for source in sources:
            for side in sides:
                key = (side.name, source)
                spent.setdefault(key, []).append(side.run(source, targets[key]))
    return {side.name: _summed(side, sources, counts, spent, targets) for side in sides}


def _summed(
    side: Side,
    sources: Sequence[Path],
    counts: Mapping[Path, int],
    spent: Mapping[tuple[str, Path], list[Spent]],
    targets: Mapping[tuple[str, Path], Path],
) -> Speed:
    wall = {source: statistics.median(each.wall for each in spent[side.name, source]) for source in sources}
    cpu = {source: statistics.median(each.cpu for each in spent[side.name, source]) for source in sources}
    rates = {source.name: counts[source] / seconds for source, seconds in wall.items()}
    outputs = {source: targets[side.name, source] for source in sources}
    return Speed(side, sum(counts.values()), sum(wall.values()), sum(cpu.values()), outputs, rates)
