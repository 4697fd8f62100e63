"""Peak memory of our command on a short and a long clip: the same packets, looped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluation.tracks import clips
from film.sides import Side

SECONDS = (60.0, 600.0)
WITHIN = 1.10
"""How much more the long one may take."""


def peaks(side: Side, source: Path, folder: Path, lengths: Sequence[float] = SECONDS) -> dict[float, float]:
    """MiB of the command's largest moment, by length in seconds. Raises SideFailed, SetInvalid."""
    found = {}
    for seconds in lengths:
        long, output = folder / f"{seconds:g}-seconds.mp4", folder / f"{seconds:g}-seconds-hidden.mp4"
        clips.looped(source, seconds, long)
        found[seconds] = side.run(long, output).peak_mib
        long.unlink()
        output.unlink()
    return found
