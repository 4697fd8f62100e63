"""Results as JSON rows for programs and as a Markdown table for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evaluation.coverage import Coverage
from evaluation.matching import Tally
from evaluation.measure import LOOSE, OVERLAPS, TIGHT, Result
from velum_pipeline.options import ObjectClass

ALL_SETS = "all sets"
DIGITS = 6
"""Of a share: more than any set can support, so that rounding never reaches a goal."""
HEADER = ("pack", "set", "class", "objects", "R@.3", "R@.5", "P@.3", "P@.5", "pixel recall", "ms")
NUMBERS_FROM = HEADER.index("objects")


def rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One row per pack, set, class and overlap; null for what there is nothing to measure by."""
    return [
        {
            "pack": result.subject,
            "set": result.set,
            "cls": result.word,
            "iou": overlap,
            "recall": _rounded(tally.recall, DIGITS),
            "precision": _rounded(tally.precision, DIGITS),
            "pixel_recall": _rounded(result.coverage.recall if result.coverage else None, DIGITS),
            "ms_per_image": _rounded(result.milliseconds, 3),
        }
        for result in results
        for overlap, tally in result.tallies.items()
    ]


def write_rows(path: Path, results: Iterable[Result]) -> None:
    """Write the rows as one JSON list; the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(rows(results), indent=1) + "\n")
    partial.replace(path)


def table(results: Sequence[Result]) -> str:
    """Markdown: a line per pack, set and class, and one over all sets for each class that several sets label."""
    lines = [_cells(result) for result in [*results, *pooled(results)]]
    widths = [max(len(line[column]) for line in [HEADER, *lines]) for column in range(len(HEADER))]
    rule = tuple(
        "-" * (width - 1) + ":" if column >= NUMBERS_FROM else "-" * width for column, width in enumerate(widths)
    )
    return "\n".join(_line(line, widths) for line in [HEADER, rule, *lines])


def pooled(results: Sequence[Result]) -> list[Result]:
    """Per pack and class that is in more than one set: the counts of all its sets added up; no time."""
    groups: dict[tuple[str, ObjectClass], list[Result]] = {}
    for result in results:
        groups.setdefault((result.subject, result.object_class), []).append(result)
    return [
        Result(
            subject,
            ALL_SETS,
            object_class,
            group[0].word,
            {overlap: sum((result.tallies[overlap] for result in group), Tally()) for overlap in OVERLAPS},
            sum((result.coverage for result in group if result.coverage), Coverage()),
        )
        for (subject, object_class), group in groups.items()
        if len(group) > 1
    ]


def _cells(result: Result) -> tuple[str, ...]:
    loose, tight = result.tallies[LOOSE], result.tallies[TIGHT]
    shares = (loose.recall, tight.recall, loose.precision, tight.precision)
    pixels = result.coverage.recall if result.coverage else None
    numbers = [_share(each) for each in (*shares, pixels)]
    taken = "-" if result.milliseconds is None else f"{result.milliseconds:.1f}"
    return (result.subject, result.set, result.word, str(loose.objects), *numbers, taken)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column >= NUMBERS_FROM else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
