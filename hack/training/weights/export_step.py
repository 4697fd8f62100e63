"""`hack/train export`: write the trained networks as the files of the pack, and the manifest's lines about them.

Everything is written and checked beside the pack first; only then files and manifest are replaced.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from training.detector.blocked import Blocked
from training.detector.fit import load_weights, read_checkpoint
from training.detector.network import Detector
from training.detector.step import CHECKPOINT, FOLDER, trunk_path
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import CheckpointInvalid, RowsInvalid
from training.outlines import step as outlines
from training.outlines.choice import CHOICE
from training.outlines.network import load_network
from training.weights.files import Form, check_alike, fused, write_onnx, write_program
from training.weights.manifest import PACK, with_file, with_outlines, write_manifest
from velum_pipeline.packs.manifest import MANIFEST, parse_manifest

DETECTOR = "velum-street"
OUTLINES = "velum-outline"
NETWORKS = (DETECTOR, OUTLINES)
CHOSEN = ("side", "margin", "threshold", "grow")
"""What the manifest says of outlines, as `hack/train outlines` chose it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this step's flags."""
    parser.add_argument("--trunk", type=Path, help="PicoDet-S's weights, as for `hack/train detector`")
    parser.add_argument("--pack", type=Path, default=PACK, help="folder of the pack (%(default)s)")
    parser.add_argument(
        "--only", choices=NETWORKS, action="append", help="write this network alone; repeat (default: both)"
    )
    parser.add_argument("--unfinished", action="store_true", help="take a detector whose training has not ended")


def run(arguments: argparse.Namespace) -> None:
    """Write the files into the pack, and into its manifest their hashes and how outlines are drawn."""
    manifest: Path = arguments.pack / MANIFEST
    text = manifest.read_text()
    torch.manual_seed(arguments.seed)  # of the pictures that the files are checked with
    with tempfile.TemporaryDirectory(dir=arguments.pack, prefix=".export-") as folder:
        made: list[Path] = []
        for name, network, form, other in networks(arguments):
            made += write(network, name, form, other, Path(folder))
        for path in made:
            text = with_file(text, path)
        if OUTLINES in (arguments.only or NETWORKS):
            text = with_outlines(text, OUTLINES, chosen(arguments.work / outlines.FOLDER / CHOICE))
        parse_manifest(text, str(manifest))
        for path in made:
            print(f"{arguments.pack / path.name}: {path.stat().st_size} bytes", flush=True)
            path.replace(arguments.pack / path.name)
        write_manifest(manifest, text)


def networks(arguments: argparse.Namespace) -> Iterator[tuple[str, nn.Module, Form, torch.Tensor]]:
    """What is to be written: name, network, how it is called, and an input of another size than the form's example.

    Raises CheckpointInvalid where a training has not come so far, RowsInvalid where it does not say how to draw.
    """
    wanted = arguments.only or NETWORKS
    if DETECTOR in wanted:
        checkpoint = trained(arguments.work / FOLDER / CHECKPOINT, "detector")
        network = load_detector(trunk_path(arguments.trunk), checkpoint, unfinished=arguments.unfinished)
        yield DETECTOR, network, detector_form(), scene(128, 224)
    if OUTLINES in wanted:
        checkpoint = trained(arguments.work / outlines.FOLDER / outlines.CHECKPOINT, "outlines")
        drawer, choice = load_network(checkpoint), checkpoint.with_name(CHOICE)
        if (side := chosen(choice)["side"]) != drawer.side:
            raise RowsInvalid(choice, f"its side is {side}, that of {checkpoint.name} {drawer.side}")
        yield OUTLINES, drawer, outline_form(drawer.side), scene(drawer.side, drawer.side)


def scene(height: int, width: int) -> torch.Tensor:
    """A made picture (1, 3, height, width), in which, other than in noise, networks see something here and there."""
    coarse = torch.rand(1, 3, height // 16, width // 16) * 255
    return functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 255)


def trained(checkpoint: Path, step: str) -> Path:
    """The checkpoint, if it is there."""
    if not checkpoint.is_file():
        raise CheckpointInvalid(checkpoint, f"not there; make it with `hack/train {step}`")
    return checkpoint


def load_detector(trunk: Path, checkpoint: Path, *, unfinished: bool = False) -> Detector:
    """The detector with the running mean of a training's weights.

    Raises CheckpointInvalid for one that has not come to its end, unless ``unfinished``.
    """
    state = read_checkpoint(checkpoint)
    step, steps = state["step"], state["plan"]["steps"]
    if step < steps and not unfinished:
        how = "go on with `hack/train detector`, or take it as it is with --unfinished"
        raise CheckpointInvalid(checkpoint, f"is at step {step} of {steps}; {how}")
    tower = Tower()
    load_weights(tower, state["mean"], checkpoint)
    return Detector(load_trunk(trunk), tower)


def chosen(path: Path) -> Mapping[str, float]:
    """Of outlines: side, margin, threshold, grow. Raises RowsInvalid."""
    try:
        said = json.loads(path.read_text())
        numbers: dict[str, float] = {key: said[key] for key in CHOSEN}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RowsInvalid(path, f"not what `hack/train outlines` writes at its end: {error}") from error
    if strange := [key for key, value in numbers.items() if type(value) not in (int, float)]:
        raise RowsInvalid(path, f"{strange[0]} is no number")
    return numbers


def detector_form() -> Form:
    """How the detector is called."""
    free = {0: ("batch", 1, 64, 1), 2: ("rows", 1, 256, 32), 3: ("columns", 1, 256, 32)}
    return Form("image", ("objects", "parts"), torch.rand(2, 3, 96, 160) * 255, free)


def outline_form(side: int) -> Form:
    """How the outline network is called."""
    return Form("crops", ("masks",), torch.rand(2, 3, side, side) * 255, {0: ("batch", 1, 1024, 1)})


def write(network: nn.Module, name: str, form: Form, other: torch.Tensor, folder: Path) -> tuple[Path, Path]:
    """Write `name`.onnx and `name`.pt2 and check them against each other and against the network.

    The detector's graph is made of its form for ONNX Runtime, the program of the network as it was trained.
    """
    graph, program = folder / f"{name}.onnx", folder / f"{name}.pt2"
    write_onnx(Blocked(fused(network)) if isinstance(network, Detector) else network, form, graph)
    write_program(network, form, program)
    check_alike(graph, program, other, network)
    return graph, program
