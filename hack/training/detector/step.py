"""`hack/train detector`: train the tower of faces and plates on a frozen PicoDet-S."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from environment import shared
from training.detector.batches import Crops, export_trunk
from training.detector.fit import Plan, Run, fit, read_checkpoint
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import WeightsInvalid
from training.labels.records import LABELS, read_records

TRUNK = "picodet_s_416.onnx"
CHECKPOINT = "tower.pt"
FOLDER = "detector"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--trunk", type=Path, help=f"PicoDet-S's weights; default: {TRUNK} among the shared models")
    parser.add_argument("--steps", type=int, default=8000, help="steps of one batch each (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="pictures in a batch (%(default)s)")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate after warming up (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes that make crops; 0: this one (%(default)s)")
    parser.add_argument("--start", type=Path, help="begin with the weights of this checkpoint instead of at random")


def run(arguments: argparse.Namespace) -> None:
    """Train, or go on with the training that is in the work folder."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(max(1, arguments.threads - arguments.workers))
    folder: Path = arguments.work / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    records = [record for record in read_records(arguments.work / LABELS) if record.split == "train"]
    trunk_file = folder / "trunk.onnx"
    export_trunk(load_trunk(trunk_path(arguments.trunk)), trunk_file)
    tower = Tower()
    if arguments.start is not None:
        tower.load_state_dict(read_checkpoint(arguments.start)["mean"])
    training = Run(tower, Plan(arguments.steps, arguments.batch, arguments.rate, arguments.seed))
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():
        training.load(checkpoint)
        print(f"going on at step {training.step} of {checkpoint}", flush=True)
    crops = Crops(records, arguments.data, trunk_file, arguments.batch, arguments.seed)
    print(f"{len(records)} pictures; {sum(p.numel() for p in tower.parameters())} parameters", flush=True)
    fit(training, crops, checkpoint, arguments.workers, lambda text: print(text, flush=True))


def trunk_path(given: Path | None) -> Path:
    """Where PicoDet-S's weights are. Raises WeightsInvalid when they are nowhere."""
    home = shared()
    path = given or (home / "data" / "models" if home else Path()) / TRUNK
    if not path.is_file():
        raise WeightsInvalid(path, "not there; name PicoDet-S's weights with --trunk (docs/models/velum-street.md)")
    return path
