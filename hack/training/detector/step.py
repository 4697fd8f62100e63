"""`hack/train detector`: train the tower of faces and plates on a frozen PicoDet-S."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch

from environment import shared
from training.detector.batches import Crops, export_trunk
from training.detector.fit import Plan, Run, fit, load_weights, read_checkpoint
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import LabelsInvalid, WeightsInvalid
from training.flags import above_zero, whole
from training.labels.records import LABELS, Record, read_records

TRUNK = "picodet_s_416.onnx"
CHECKPOINT = "tower.pt"
FOLDER = "detector"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--trunk", type=Path, help=f"PicoDet-S's weights; default: {TRUNK} among the shared models")
    parser.add_argument("--steps", type=whole(1), default=7000, help="steps of one batch each (%(default)s)")
    parser.add_argument("--batch", type=whole(1), default=8, help="pictures in a batch (%(default)s)")
    parser.add_argument("--rate", type=above_zero, default=2e-3, help="learning rate after warming up (%(default)s)")
    parser.add_argument(
        "--workers", type=whole(0), default=1, help="processes that make crops; 0: this one (%(default)s)"
    )
    parser.add_argument("--start", type=Path, help="begin with the weights of this checkpoint instead of at random")


def run(arguments: argparse.Namespace) -> None:
    """Train, or go on with the training that is in the work folder."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(max(1, arguments.threads - arguments.workers))
    folder: Path = arguments.work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    records, trunk = to_learn(arguments.work / LABELS), trunk_path(arguments.trunk)
    trunk_file = folder / "trunk.onnx"
    export_trunk(load_trunk(trunk), trunk_file)
    tower = Tower()
    if arguments.start is not None:
        load_weights(tower, read_checkpoint(arguments.start)["mean"], arguments.start)
    training = Run(tower, plan(arguments, trunk))
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        training.load(checkpoint)
        print(f"going on at step {training.step} of {checkpoint}", flush=True)
    crops = Crops(records, arguments.data, trunk_file, arguments.batch, arguments.seed)
    print(f"{len(records)} pictures; {sum(p.numel() for p in tower.parameters())} parameters", flush=True)
    fit(training, crops, checkpoint, arguments.workers, lambda text: print(text, flush=True))


def to_learn(labels: Path) -> list[Record]:
    """The pictures that are not kept back. Raises LabelsInvalid when there are none."""
    records = [record for record in read_records(labels) if record.split == "train"]
    if not records:
        raise LabelsInvalid(labels, "has no picture of the split train; give more sets to `hack/train label`")
    return records


def plan(arguments: argparse.Namespace, trunk: Path) -> Plan:
    """The plan of what was asked for, with the hashes of the files that it depends on."""
    labels, start = arguments.work / LABELS, arguments.start
    return Plan(
        arguments.steps,
        arguments.batch,
        arguments.rate,
        arguments.seed,
        labels=_hash(labels),
        trunk=_hash(trunk),
        start=_hash(start) if start else "",
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def trunk_path(given: Path | None) -> Path:
    """Where PicoDet-S's weights are. Raises WeightsInvalid when they are nowhere."""
    home = shared()
    path = given or (home / "data" / "models" if home else Path()) / TRUNK
    if not path.is_file():
        raise WeightsInvalid(path, "not there; name PicoDet-S's weights with --trunk (docs/models/velum-street.md)")
    return path
