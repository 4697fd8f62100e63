"""Runs: which of a video's missing segments one replica is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from velum_pipeline.video.work import margins
from velum_serve.videos.plan import Plan

Numbers = tuple[int, ...]
"""Of segments that follow each other."""

MARGIN_COST = 8
"""A run is so many times as long as what is decoded and looked at before and after it: 127 frames, so 40 s of video."""


@dataclass(frozen=True)
class Lengths:
    """How long runs are, in frames: at least, so that what is looked at besides them costs little (see `worth`), and at
    most, which is what is done before another video gets its turn.
    """

    least: int
    most: int = 3600

    @classmethod
    def worth(cls, every: int) -> "Lengths":
        """Return lengths for which a run's margins cost no more than an eighth of the run."""
        least = MARGIN_COST * sum(margins(every))
        return cls(least, max(cls.most, 2 * least))


def cut(plan: Plan, missing: Sequence[int], workers: int, lengths: Lengths) -> list[Numbers]:
    """Return the missing segments as runs of neighbours, in order: two for each worker, of a sensible length."""
    wanted = plan.frames(missing) // (2 * workers)
    target = min(max(wanted, lengths.least), lengths.most)
    runs: list[Numbers] = []
    for neighbours in _neighbours(sorted(missing)):
        pieces: list[list[int]] = [[]]
        for number in neighbours:
            if pieces[-1] and plan.frames(pieces[-1]) + plan.frames([number]) > target:
                pieces.append([])
            pieces[-1].append(number)
        if len(pieces) > 1 and plan.frames(pieces[-1]) < lengths.least // 2:
            rest = pieces.pop()
            pieces[-1] += rest
        runs += [tuple(piece) for piece in pieces if piece]
    return runs


def _neighbours(numbers: Sequence[int]) -> list[Sequence[int]]:
    breaks = [at + 1 for at, (one, next_one) in enumerate(pairwise(numbers)) if next_one != one + 1]
    return [numbers[start:stop] for start, stop in pairwise([0, *breaks, len(numbers)])]
