"""Threshold and dilation of the shipped network: as little hidden beside objects as a recall that is asked for allows.

Chosen on masks that were kept back, for whichever is worse: boxes as people drew them, or boxes that are moved, as a
detector's are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.outlines import jittered, summary
from training.outlines.measure import Labelled, Logits, crops_of, logits, scores
from training.outlines.network import OutlineNetwork
from training.outlines.windows import MARGIN, Box

CHOICE = "outlines.json"
THRESHOLDS = (0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
GROWTHS = (0.01, 0.02, 0.03, 0.04, 0.05)
"""Dilations, as fractions of the root of the box's area. An edge that is found exactly still shows its last pixels, so
there is always one."""
RECALL = 0.95
"""Of an object's pixels that are hidden, reached by nine of ten objects."""
JITTERS = (0.0, 0.05)
"""Deviations of a box's sides, of its size: none, and a detector's. What is chosen holds for each of them."""


@dataclass(frozen=True)
class Choice:
    """What the pipeline is told, and what it reaches for the worse boxes.

    p10: the worst class's tenth percentile of recall; excess: pixels beyond outlines, mean of the classes.
    """

    side: int
    margin: float
    threshold: float
    grow: float
    p10: float
    excess: float


def choose(network: OutlineNetwork, labelled: Sequence[Labelled], least: float = RECALL) -> Choice:
    """The pair with the least excess among those with the recall; where none has it, the pair that comes closest."""
    views = list(_views(network, labelled))
    best: tuple[tuple[bool, float], Choice] | None = None
    for threshold, grow in product(THRESHOLDS, GROWTHS):
        found = [summary(scores(labelled, said, boxes, threshold, grow)).values() for boxes, said in views]
        lowest = min(row["p10"] for table in found for row in table)
        excess = max(float(np.mean([row["excess"] for row in table])) for table in found)
        order = (lowest < least, excess if lowest >= least else -lowest)
        if best is None or order < best[0]:
            best = order, Choice(network.side, MARGIN, threshold, grow, lowest, excess)
    assert best is not None
    return best[1]


def _views(network: OutlineNetwork, labelled: Sequence[Labelled]) -> Iterator[tuple[list[Box], Logits]]:
    for share in JITTERS:
        boxes = [item.box for item in labelled]
        boxes = jittered(boxes, share) if share else boxes
        yield boxes, logits(network, crops_of(labelled, boxes, network.side))


def tables(network: OutlineNetwork, labelled: Sequence[Labelled], choice: Choice) -> list[dict[str, Any]]:
    """Rows for people: per jitter and class, at 0.5 without dilation and as chosen."""
    rows = []
    for share, (boxes, said) in zip(JITTERS, _views(network, labelled), strict=True):
        for threshold, grow in ((0.5, 0.0), (choice.threshold, choice.grow)):
            for cls, row in summary(scores(labelled, said, boxes, threshold, grow)).items():
                rows.append({"cls": cls, "jitter": share, "threshold": threshold, "grow": grow} | row)
    return rows


def write(path: Path, choice: Choice, measured: dict[str, Any]) -> None:
    """Keep the choice, and what was measured with it, as JSON for the export and the card."""
    path.write_text(json.dumps(asdict(choice) | {"measured": measured}, indent=1) + "\n")


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table of ``tables``."""
    yield "class    jitter  at            count    IoU recall    p10 excess"
    for row in rows:
        at = f"{row['threshold']:.2f} + {100 * row['grow']:.0f} %"
        figures = " ".join(f"{row[key]:6.3f}" for key in ("iou", "recall", "p10", "excess"))
        yield f"{row['cls']:8} {row['jitter']:6.2f}  {at:12} {row['count']:6} {figures}"
