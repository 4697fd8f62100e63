"""The command line of `hack/evaluate`: every subject on every set, then the table, the JSON and the sheet."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from environment import shared
from evaluation import flags
from evaluation.errors import EvaluationError, SubjectInvalid
from evaluation.measure import Miss, Result, Settings, measure
from evaluation.peers import parse_peer
from evaluation.report import table, write_rows
from evaluation.sets import LabelledSet, find_sets
from evaluation.sheet import write_sheet
from evaluation.subjects import Subject, load_packs
from velum.errors import InvalidInput
from velum_pipeline.detect import Runtime
from velum_pipeline.errors import PipelineError

USAGE_ERROR = 2
INTERRUPTED = 130
"""As a shell says it: 128 and the signal's number."""


def main(argv: list[str]) -> int:
    """Run an evaluation. Returns the exit status: 2 with one line on standard error for what the user can mend."""
    arguments = flags.parser().parse_args(argv)
    try:
        run(arguments)
    except (EvaluationError, PipelineError, InvalidInput, OSError) as error:
        print(f"hack/evaluate: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Measure every subject on every set, then print and write."""
    if not (arguments.pack or arguments.peer):
        raise SubjectInvalid("give at least one --pack or --peer")
    cv2.setNumThreads(arguments.threads)
    sheet = _outputs(arguments)
    settings = flags.settings(arguments)
    sets = [each.first(arguments.limit) for each in find_sets(arguments.data)]
    results: list[Result] = []
    misses: list[Miss] = []
    for subject in _subjects(arguments):
        found, missed = _everywhere(subject, sets, settings)
        results, misses = results + found, misses + missed
    if not results:
        raise SubjectInvalid("no set here labels a class that a pack or peer finds and that is asked for")
    print(f"format {arguments.format}, {arguments.threads} thread(s); {_said(settings)}\n")
    print(table(results))
    if arguments.json:
        write_rows(arguments.json, results)
    if sheet:
        _draw(sheet, misses, {each.name: each for each in sets})


def _everywhere(subject: Subject, sets: Sequence[LabelledSet], settings: Settings) -> tuple[list[Result], list[Miss]]:
    results: list[Result] = []
    misses: list[Miss] = []
    for labelled in sets:
        started = time.monotonic()
        found, missed = measure(subject, labelled, settings, _ticker(subject.name, labelled))
        results, misses = results + found, misses + missed
        said = f"{len(labelled.pictures)} pictures, {time.monotonic() - started:.0f} s"
        _progress(f"{subject.name} {labelled.name}: {said if found else 'labels no class that it finds'}", end="\n")
    return results, misses


def _subjects(arguments: argparse.Namespace) -> list[Subject]:
    """What is measured. Packs of one name go by what was typed; rows of one name could not be told apart."""
    peers = [parse_peer(given) for given in arguments.peer]
    folders = weights_folders(arguments.packs, arguments.data)
    packs = [load_packs(given, folders, Runtime(threads=arguments.threads)) for given in arguments.pack]
    names = Counter(pack.name for pack in packs)
    packs = [
        pack if names[pack.name] == 1 else replace(pack, name=given)
        for pack, given in zip(packs, arguments.pack, strict=True)
    ]
    subjects: list[Subject] = [*packs, *peers]
    for name, count in Counter(subject.name for subject in subjects).items():
        if count > 1:
            raise SubjectInvalid(f"{name} is the name of {count} packs or peers")
    return subjects


def weights_folders(given: Sequence[Path], data: Path) -> list[Path]:
    """Where packs and weights are looked for beside the places that the registry knows."""
    around = [data.resolve(), *data.resolve().parents]
    home = shared()
    places = [home / "data" / "models"] if home else []
    places += [folder.parent / "models" for folder in around]
    found = [folder for folder in places if folder.is_dir()]
    return list(dict.fromkeys([*given, *found]))


def _outputs(arguments: argparse.Namespace) -> Path | None:
    """Where the sheet goes, if anywhere. What cannot be written is said before the work, not after it."""
    sheet: Path | None = arguments.sheet
    if sheet is None and arguments.json is not None:
        sheet = arguments.json.with_name(f"{arguments.json.stem}-misses.png")
    for path in (arguments.json, sheet):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() or not os.access(path.parent, os.W_OK):
                raise SubjectInvalid(f"{path} cannot be written")
    return sheet


def _draw(path: Path, misses: Sequence[Miss], sets: dict[str, LabelledSet]) -> None:
    if not misses:
        path.unlink(missing_ok=True)  # of an earlier run, which missed something
        print("\nnothing was missed: no sheet")
        return
    pictures = {picture.path: picture for labelled in sets.values() for picture in labelled.pictures}
    shown = write_sheet(path, misses, lambda miss: sets[miss.set].pixels(pictures[miss.path]))
    print(f"\n{len(misses)} objects missed at IoU 0.3, {shown} of them in {path}")


def _ticker(name: str, labelled: LabelledSet) -> Callable[[int], None]:
    if not sys.stderr.isatty():
        return lambda _done: None
    return lambda done: _progress(f"{name} {labelled.name}: {done}/{len(labelled.pictures)}", end="\r")


def _progress(text: str, end: str) -> None:
    print(f"{text:72}" if sys.stderr.isatty() else text, end=end, file=sys.stderr, flush=True)


def _said(settings: Settings) -> str:
    changed = ", ".join(f"{name} {score:g}" for name, score in settings.thresholds.items())
    return f"thresholds: {changed}, else default" if changed else "default thresholds"
