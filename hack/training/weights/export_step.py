"""`hack/train export`: write the trained networks as the files of the pack, and the manifest's lines about them."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from training.detector.fit import read_checkpoint
from training.detector.network import Detector
from training.detector.step import CHECKPOINT, FOLDER, trunk_path
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import CheckpointInvalid, WeightsInvalid
from training.outlines import step as outlines
from training.outlines.network import load_network
from training.weights.calibrate_step import PACK
from training.weights.files import Form, check_alike, write_onnx, write_program
from velum_pipeline.packs.manifest import MANIFEST, read_manifest

DETECTOR = "velum-street"
OUTLINES = "velum-outline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--trunk", type=Path, help="PicoDet-S's weights, as for `hack/train detector`")
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument("--only", choices=(DETECTOR, OUTLINES), help="write this network alone")


def run(arguments: argparse.Namespace) -> None:
    """Write the files into the pack and their hashes into its manifest."""
    manifest: Path = arguments.pack / MANIFEST
    text = manifest.read_text()
    for name, network, form, other in networks(arguments):
        for path in write(network, name, form, other, arguments.pack):
            text = described(text, path)
            print(f"{path}: {path.stat().st_size} bytes", flush=True)
    manifest.write_text(text)
    read_manifest(manifest)


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, nn.Module, Form, torch.Tensor]]:
    """What is to be written: name, network, how it is called, and an input of another size than the form's example.

    Raises CheckpointInvalid where a training has not come so far.
    """
    if arguments.only != OUTLINES:
        checkpoint = trained(arguments.work / FOLDER / CHECKPOINT, "detector")
        network = load_detector(trunk_path(arguments.trunk), checkpoint)
        yield DETECTOR, network, detector_form(), torch.rand(1, 3, 128, 224) * 255
    if arguments.only != DETECTOR:
        checkpoint = trained(arguments.work / outlines.FOLDER / outlines.CHECKPOINT, "outlines")
        drawer = load_network(checkpoint)
        yield OUTLINES, drawer, outline_form(drawer.side), torch.rand(1, 3, drawer.side, drawer.side) * 255


def trained(checkpoint: Path, step: str) -> Path:
    """The checkpoint, if it is there."""
    if not checkpoint.is_file():
        raise CheckpointInvalid(checkpoint, f"not there; make it with `hack/train {step}`")
    return checkpoint


def load_detector(trunk: Path, checkpoint: Path) -> Detector:
    """The detector with the running mean of a training's weights."""
    tower = Tower()
    tower.load_state_dict(read_checkpoint(checkpoint)["mean"])
    return Detector(load_trunk(trunk), tower)


def detector_form() -> Form:
    """How the detector is called."""
    free = {0: ("batch", 1, 64, 1), 2: ("rows", 1, 256, 32), 3: ("columns", 1, 256, 32)}
    return Form("image", ("objects", "parts"), torch.rand(2, 3, 96, 160) * 255, free)


def outline_form(side: int) -> Form:
    """How the outline network is called."""
    return Form("crops", ("masks",), torch.rand(2, 3, side, side) * 255, {0: ("batch", 1, 1024, 1)})


def write(network: nn.Module, name: str, form: Form, other: torch.Tensor, folder: Path) -> tuple[Path, Path]:
    """Write `name`.onnx and `name`.pt2 and check the one against the other."""
    graph, program = folder / f"{name}.onnx", folder / f"{name}.pt2"
    write_onnx(network, form, graph)
    write_program(network, form, program)
    check_alike(graph, program, other)
    return graph, program


def described(manifest: str, path: Path) -> str:
    """The manifest's text with the hash and size that the file has now. Raises WeightsInvalid."""
    data = path.read_bytes()
    entry = re.compile(rf'(?m)^(name = "{re.escape(path.name)}"\nsha256 = ")[0-9a-f]*("\nsize = )\d+')
    text, count = entry.subn(rf"\g<1>{hashlib.sha256(data).hexdigest()}\g<2>{len(data)}", manifest)
    if count != 1:
        raise WeightsInvalid(Path(MANIFEST), f"does not list {path.name} with sha256 and size on the next lines")
    return text
