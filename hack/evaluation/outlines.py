"""How right the outlines are that a pack draws, given the box of each labelled object: detection is left out.

  hack/evaluate outlines --pack velum-street --json out.json

Objects are those with an outline ("polygons") in the sets below DIR, of classes for which the pack draws outlines.
Every object's box is handed to the pack's outline network, three times:

  half      its mask is cut where it is as likely as not, and not widened: what the network knows
  shipped   cut and widened as the manifest says
  moved     as shipped, each side of the box off by 5 % of its size (standard deviation), as a detector's is

iou: overlap of mask and outline, mean over objects. recall: share of the outline's pixels that the mask hides, mean;
p10: its tenth percentile, so what nine of ten objects reach. excess: pixels hidden beside the outline, as a share of
it. An object for which nothing is drawn counts with its whole box, as it is hidden. --json FILE gets
[{"pack", "set", "cls", "cut", "objects", "iou", "recall", "p10", "excess"}]; the last rows are all sets together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.command import weights_folders
from evaluation.coverage import outline
from evaluation.errors import EvaluationError, SubjectInvalid
from evaluation.report import ALL_SETS
from evaluation.sets import LabelledObject, LabelledSet, add_data, find_sets
from evaluation.subjects import load_packs
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.outlines import Outliner
from velum_pipeline.detect.segments import drawn
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import ObjectClass

Bits = NDArray[np.bool_]
Box = tuple[float, float, float, float]
FEWEST_PIXELS = 30
"""Of an outline; below that a pixel more or less is the whole figure."""
MOVED = 0.05
CUTS = ("half", "shipped", "moved")
FIGURES = ("iou", "recall", "p10", "excess")


@dataclass(frozen=True)
class Score:
    """Of one object. iou, recall: 0..1; excess: pixels beyond the outline, as a fraction of it."""

    cls: str
    iou: float
    recall: float
    excess: float

    @classmethod
    def of(cls, name: str, mask: Bits, truth: Bits) -> Score:
        """``mask`` and ``truth``: bool (H, W); ``truth`` marks something."""
        both, area, labelled = (int(np.count_nonzero(one)) for one in (mask & truth, mask, truth))
        return cls(name, both / (area + labelled - both), both / labelled, (area - both) / labelled)


def summary(found: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Per class: how many, mean IoU, mean recall, its tenth percentile, mean excess."""
    table = {}
    for name in sorted({score.cls for score in found}):
        own = [score for score in found if score.cls == name]
        recalls = [score.recall for score in own]
        table[name] = {
            "count": len(own),
            "iou": float(np.mean([score.iou for score in own])),
            "recall": float(np.mean(recalls)),
            "p10": float(np.percentile(recalls, 10)),
            "excess": float(np.mean([score.excess for score in own])),
        }
    return table


def jittered(boxes: Iterable[Box], share: float, seed: int | Sequence[int] = 1) -> list[Box]:
    """The boxes with each side moved by a normal deviation of ``share`` of the size."""
    random = np.random.default_rng(seed)
    found = []
    for x1, y1, x2, y2 in boxes:
        across, down = share * (x2 - x1), share * (y2 - y1)
        moved = (random.normal(0, 1, 4) * (across, down, across, down) + (x1, y1, x2, y2)).tolist()
        found.append((moved[0], moved[1], moved[2], moved[3]))
    return found


def main(argv: Sequence[str]) -> int:
    """Measure and print. Returns the exit status: 2 with one line on standard error for what the user can mend."""
    arguments = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    try:
        rows = list(measured(arguments))
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    except (EvaluationError, PipelineError, OSError) as error:
        print(f"hack/evaluate outlines: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines(rows)))
    return 0


def _parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="hack/evaluate outlines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("--pack", default="velum-street", help="known pack, or folder with pack.toml (default: %(default)s)")
    add_data(command)
    add("--json", type=Path, metavar="FILE", help="write the rows here")
    add("--packs", action="append", type=Path, default=[], metavar="FOLDER", help="more packs or weights; repeat")
    return command


def measured(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows per set, then of all sets. Raises EvaluationError, PipelineError."""
    pack = load_packs(arguments.pack, weights_folders(arguments.packs, arguments.data), Runtime(threads=1))
    outliners = pack.detector.outliners
    if not outliners:
        raise SubjectInvalid(f"{pack.name} draws no outlines: its manifest has no [[outlines]]")
    everything: dict[str, list[Score]] = {cut: [] for cut in CUTS}
    for labelled in find_sets(arguments.data):
        scores = of_set(labelled, outliners)
        yield from _rows(pack.name, labelled.name, scores)
        for cut, found in scores.items():
            everything[cut] += found
    if not any(everything.values()):
        raise SubjectInvalid(f"no set here has outlines of {', '.join(sorted(outliners))}")
    yield from _rows(pack.name, ALL_SETS, everything)


def of_set(labelled: LabelledSet, outliners: Mapping[ObjectClass, Outliner]) -> dict[str, list[Score]]:
    """The scores of every object with an outline, by cut."""
    scores: dict[str, list[Score]] = {cut: [] for cut in CUTS}
    for picture in labelled.pictures:
        wanted = [item for item in picture.objects if item.polygons and not item.ignore]
        groups = {name: [item for item in wanted if item.object_class is name] for name in outliners}
        if not any(groups.values()):
            continue
        pixels = labelled.pixels(picture)
        for name, items in groups.items():
            for cut, found in _of_picture(pixels, items, outliners[name]).items():
                scores[cut] += found
    return scores


def _of_picture(
    pixels: NDArray[np.uint8], items: Sequence[LabelledObject], outliner: Outliner
) -> dict[str, list[Score]]:
    height, width = pixels.shape[:2]
    truths = [outline(item.polygons, width, height) for item in items]
    kept = [(item, truth) for item, truth in zip(items, truths, strict=True) if truth.sum() >= FEWEST_PIXELS]
    boxes = [item.box for item, _ in kept]
    views = {
        "half": (outliner.cut_at(0.5, 0.0), boxes),
        "shipped": (outliner, boxes),
        "moved": (outliner, jittered(boxes, MOVED)),
    }
    return {
        cut: [
            Score.of(item.object_class.value, mask, truth)
            for (item, truth), mask in zip(kept, masks(pixels, given, own), strict=True)
        ]
        for cut, (own, given) in views.items()
    }


def masks(pixels: NDArray[np.uint8], boxes: Sequence[Box], outliner: Outliner) -> list[Bits]:
    """What is hidden of a BGR picture for each box: bool (H, W)."""
    height, width = pixels.shape[:2]
    found = Candidates.of(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes), np.float32))
    segments = outliner.outlined(found, pixels, None).candidates.segments
    hidden = []
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        canvas = np.zeros((height, width), np.bool_)
        mask = drawn(None if segments is None else segments[row], width, height)
        if mask is None:
            canvas[max(round(y1), 0) : max(round(y2), 0), max(round(x1), 0) : max(round(x2), 0)] = True
        else:
            canvas[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
        hidden.append(canvas)
    return hidden


def _rows(pack: str, name: str, scores: Mapping[str, Sequence[Score]]) -> Iterator[dict[str, Any]]:
    tables = {cut: summary(found) for cut, found in scores.items()}
    for cls in tables[CUTS[0]]:
        for cut in CUTS:
            row = tables[cut][cls]
            figures = {figure: round(row[figure], 6) for figure in FIGURES}
            yield {"pack": pack, "set": name, "cls": cls, "cut": cut, "objects": row["count"], **figures}


def lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The rows as a Markdown table."""
    yield "| set | class | objects | cut | IoU | recall | p10 | excess |"
    yield "|---|---|--:|---|--:|--:|--:|--:|"
    for row in rows:
        figures = " | ".join(f"{row[figure]:.3f}" for figure in FIGURES)
        yield f"| {row['set']} | {row['cls']} | {row['objects']} | {row['cut']} | {figures} |"
