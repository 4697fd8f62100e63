"""`hack/train export`: write the trained networks as the files of the pack."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch

from training.detector.fit import read_checkpoint
from training.detector.network import Detector
from training.detector.step import CHECKPOINT, FOLDER, trunk_path
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.weights.files import Form, check_alike, write_onnx, write_program

OUTPUT = "weights"
DETECTOR = "velum-street"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--trunk", type=Path, help="PicoDet-S's weights, as for `hack/train detector`")


def run(arguments: argparse.Namespace) -> None:
    """Write all files and say what a manifest must say of them."""
    folder: Path = arguments.work / OUTPUT
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = arguments.work / FOLDER / CHECKPOINT
    detector = load_detector(trunk_path(arguments.trunk), checkpoint)
    write(detector, DETECTOR, detector_form(), torch.rand(2, 3, 128, 224) * 255, folder)


def load_detector(trunk: Path, checkpoint: Path) -> Detector:
    """The detector with the running mean of a training's weights."""
    tower = Tower()
    tower.load_state_dict(read_checkpoint(checkpoint)["mean"])
    return Detector(load_trunk(trunk), tower)


def detector_form() -> Form:
    """How the detector is called."""
    free = {0: ("batch", 1, 64, 1), 2: ("rows", 1, 256, 32), 3: ("columns", 1, 256, 32)}
    return Form("image", ("objects", "parts"), torch.rand(2, 3, 96, 160) * 255, free)


def write(network: torch.nn.Module, name: str, form: Form, other: torch.Tensor, folder: Path) -> None:
    """Write `name`.onnx and `name`.pt2, check the one against the other, and print their hashes and sizes."""
    graph, program = folder / f"{name}.onnx", folder / f"{name}.pt2"
    write_onnx(network, form, graph)
    write_program(network, form, program)
    check_alike(graph, program, other)
    for path in (graph, program):
        data = path.read_bytes()
        print(f'name = "{path.name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nsize = {len(data)}')
