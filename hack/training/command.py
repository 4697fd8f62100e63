"""The command line of `hack/train`: one step of the way from pictures to the pack.

A step is a module with ``add_arguments(parser)`` and ``run(arguments)``; only the chosen one is imported, because most
of them load torch. It finds ``work``, ``seed`` and ``threads`` among its arguments, and ``data`` if it reads pictures.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from environment import ROOT, shared
from evaluation.errors import EvaluationError
from training.errors import DataMissing, StepMissing, TrainingError
from training.flags import whole
from velum.errors import InvalidInput
from velum_pipeline.errors import PipelineError

USAGE_ERROR = 2
INTERRUPTED = 130
"""As a shell says it: 128 and the signal's number."""
STEPS: Mapping[str, tuple[str, str]] = {
    "label": ("training.labels.step", "say what is in every picture, from hand labels and from teachers"),
    "detector": ("training.detector.step", "train the detector of the four classes"),
    "outlines": ("training.outlines.step", "train the head from box to mask"),
    "export": ("training.weights.export_step", "write both as the files that are shipped"),
    "calibrate": ("training.weights.calibrate_step", "choose thresholds on the validation pictures"),
    "card": ("training.weights.card_step", "write the model card"),
}
"""In the order of the way: each step's module, and what it does."""
READING = frozenset({"label", "detector", "outlines"})
"""Steps that read the sets; the others need only what was made of them."""


def main(argv: list[str], steps: Mapping[str, tuple[str, str]] = STEPS) -> int:
    """Run a step. Returns the exit status: 2 with one line on standard error for what the user can mend."""
    try:
        run, arguments = _parse(argv, steps)
        arguments.work.mkdir(parents=True, exist_ok=True)
        run(arguments)
    except (TrainingError, EvaluationError, PipelineError, InvalidInput, OSError) as error:
        print(f"hack/train: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("hack/train: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parse(
    argv: list[str], steps: Mapping[str, tuple[str, str]]
) -> tuple[Callable[[argparse.Namespace], None], argparse.Namespace]:
    about = "\n".join(f"  {name:10} {said}" for name, (_, said) in steps.items())
    parser = argparse.ArgumentParser(
        prog="hack/train",
        description=f"Make the weights of velum-street. Steps, in their order:\n\n{about}",
        epilog="`hack/train STEP --help` tells a step's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=list(steps), metavar="STEP")
    step = str(parser.parse_args(argv[:1]).step)
    module = _module(step, steps[step][0])
    own = argparse.ArgumentParser(prog=f"hack/train {step}", description=module.__doc__)
    _add_common(own)
    module.add_arguments(own)
    arguments = own.parse_args(argv[1:])
    if step in READING:
        arguments.data = arguments.data or _data()
        if not arguments.data.is_dir():
            raise DataMissing(f"{arguments.data} is not a folder; --data names the folder of the sets")
    return module.run, arguments


def _module(step: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise StepMissing(step, name) from error
        raise


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        help=f"folder of the sets (default: $VELUM_TRAINING, else shared/training); read by {_listed(READING)} only",
    )
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".cache" / "training", help="what is made lies here (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of everything drawn by chance (default: %(default)s)")
    parser.add_argument(
        "--threads", type=whole(1), default=os.cpu_count() or 1, help="cores to use (default: %(default)s, all)"
    )


def _listed(steps: frozenset[str]) -> str:
    return ", ".join(step for step in STEPS if step in steps)


def _data() -> Path:
    named, home = os.environ.get("VELUM_TRAINING"), shared()
    if named:
        return Path(named)
    if home is None:
        raise DataMissing(
            "there are no pictures to train on: name the folder of the sets with --data or VELUM_TRAINING"
        )
    return home / "training"
