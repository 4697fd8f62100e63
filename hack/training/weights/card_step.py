"""`hack/train card`: what `hack/evaluate` measured, as the tables of the model card and the figures of the manifest.

    $ hack/evaluate --pack velum-street --pack street --data DIR --format whole --json whole.json
    $ hack/evaluate --pack velum-street --pack street --data DIR --format auto --json auto.json
    $ hack/train card --rows whole.json --rows auto.json

A file of rows is of the format that its name begins with.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import ROOT
from training.errors import RowsInvalid
from training.weights.manifest import PACK, write_manifest
from velum_pipeline.packs.manifest import MANIFEST, read_manifest

CARD = ROOT / "docs" / "models" / "velum-street.md"
MARKS = ("<!-- measured -->", "<!-- /measured -->")
FORMATS = ("whole", "auto")
HEADER = (
    *("pack", "set", "class", "whole: recall at IoU .3 / .5", "precision"),
    *("auto: recall at IoU .3 / .5", "precision", "pixel recall"),
)
CLASSES = {"plate": "license-plate"}
"""The contract's word, where the sets have another."""

Key = tuple[str, str, str]
"""Pack, set, class."""


@dataclass
class Figures:
    """What was measured of a pack on a class of a set, per format and overlap: recall, precision, pixel recall."""

    values: dict[tuple[str, float], tuple[float | None, float | None, float | None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--rows", type=Path, action="append", required=True, help="JSON of `hack/evaluate`; repeat")
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument("--card", type=Path, default=CARD, help="the card (%(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Write the card's tables and the manifest's figures."""
    figures = read_rows(arguments.rows)
    card, manifest = arguments.card.read_text(), arguments.pack / MANIFEST
    name = read_manifest(manifest).name
    if not any(key[0] == name for key in figures):
        raise RowsInvalid(arguments.rows[0], f"nothing here is of the pack {name}")
    card = filled(card, table(figures))
    write_manifest(manifest, with_figures(manifest.read_text(), measured(figures, name)))
    arguments.card.write_text(card)


def read_rows(paths: Sequence[Path]) -> dict[Key, Figures]:
    """All rows by pack, set and class. Raises RowsInvalid."""
    found: dict[Key, Figures] = {}
    for path in paths:
        how = next((each for each in FORMATS if path.name.startswith(each)), None)
        if how is None:
            raise RowsInvalid(path, f"its name must begin with {' or '.join(FORMATS)}, the format that was measured")
        for row in _loaded(path):
            figures = found.setdefault((row["pack"], row["set"], row["cls"]), Figures({}))
            figures.values[how, row["iou"]] = (row["recall"], row["precision"], row["pixel_recall"])
    return found


def _loaded(path: Path) -> list[dict[str, Any]]:
    wanted = {"pack", "set", "cls", "iou", "recall", "precision", "pixel_recall"}
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        if not all(wanted <= row.keys() for row in rows):
            raise ValueError(f"a row lacks one of {', '.join(sorted(wanted))}")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RowsInvalid(path, f"not what `hack/evaluate --json` writes: {error}") from error
    return rows


def table(figures: Mapping[Key, Figures]) -> str:
    """Markdown, by set and class so that packs stand beside each other."""
    lines = [HEADER, ("---",) * len(HEADER)]
    packs = list(dict.fromkeys(pack for pack, _, _ in figures))
    for pack, labelled, word in sorted(figures, key=lambda key: (key[1], key[2], packs.index(key[0]))):
        values = figures[pack, labelled, word].values
        numbers = [_pair(values, how, index) for how in FORMATS for index in (0, 1)]
        pixels = values.get(("auto", 0.5), values.get(("whole", 0.5), (None,) * 3))[2]
        lines.append((pack, labelled, word, *numbers, _number(pixels)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pair(values: Mapping[tuple[str, float], tuple[float | None, ...]], how: str, index: int) -> str:
    numbers = [values[how, overlap][index] for overlap in (0.3, 0.5) if (how, overlap) in values]
    return " / ".join(map(_number, numbers)) if numbers else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def filled(card: str, text: str) -> str:
    """The card with this text between its marks. Raises RowsInvalid when it has none."""
    start, end = (card.find(mark) for mark in MARKS)
    if start < 0 or end < start:
        raise RowsInvalid(CARD, f"the card has no {MARKS[0]} … {MARKS[1]} to write between")
    return f"{card[: start + len(MARKS[0])]}\n{text}\n{card[end:]}"


def measured(figures: Mapping[Key, Figures], pack: str) -> str:
    """The manifest's lines for one pack: per set and class what format `auto` reaches at an overlap of 0.5."""
    lines = []
    for (name, labelled, word), found in sorted(figures.items()):
        recall, precision, _ = found.values.get(("auto", 0.5), (None, None, None))
        if name == pack and recall is not None and precision is not None:
            lines.append(
                f'  {{ set = "{labelled}", cls = "{CLASSES.get(word, word)}", iou = 0.5, recall = {recall:.3f}, '
                f'precision = {precision:.3f}, format = "auto" }},'
            )
    return "\n".join(["measured = [", *lines, "]"])


def with_figures(manifest: str, lines: str) -> str:
    """The manifest's text with these in place of those it has, or after its licence."""
    present = re.compile(r"(?ms)^measured = \[.*?^\]$")
    if present.search(manifest):
        return present.sub(lambda _: lines, manifest, count=1)
    return re.sub(r"(?m)^(licence = .*)$", lambda found: f"{found[1]}\n{lines}", manifest, count=1)
