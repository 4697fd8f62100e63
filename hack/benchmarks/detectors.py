"""What finding costs, one thread: velum-street's network beside the specialists it replaces, `hack/bench detectors`.

Networks only: what ONNX Runtime takes from an input that is ready to the outputs; no decoding, no picture. All run in
turns in one process on the same noise, so that a busy machine slows all of them; what counts is the median of each.

* velum_street_ms: the four-class detector at that size.
* picodet_ms: PicoDet-S, whose trunk it has, as the pack `street` runs it, at that size: persons and vehicles only.
* three_ms: all that `street` runs for the four classes: YuNet and PicoDet-S at that size, HyperLPR at its own 320 x 320
  and 640 x 640. The sum of their medians.
* picodet_ratio, three_ratio: velum-street ÷ each.

Weights are looked for as hack/evaluate does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from environment import ROOT
from evaluation.command import weights_folders
from evaluation.subjects import cache_folder
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.session import Network
from velum_pipeline.detect.spec import ComponentSpec, FixedInput
from velum_pipeline.detections import Floats
from velum_pipeline.errors import PipelineError
from velum_pipeline.packs import PackRegistry

Size = tuple[int, int]
"""Width and height in pixels."""

SIZES = ("640x448", "1280x736")
MULTIPLE = 32
ROUNDS = 30
WARM = 2
"""Rounds before any counts: the first runs allocate."""
PICODET_GOAL, THREE_GOAL = 1.3, 0.5
OURS, SPECIALISTS = "velum-street", "street"
PICODET, FACES, PLATES = "picodet", "yunet", "yolov5face-plate"
"""Decoders, by which the specialists' networks are told."""


@dataclass(frozen=True)
class Contestant:
    """A loaded network and how its pixels become numbers."""

    spec: ComponentSpec
    network: Network

    def noise(self, size: Size, random: np.random.Generator) -> Floats:
        """A picture of noise as the network is given it, (1, 3, H, W); fixed networks keep their size."""
        spec = self.spec.input
        if isinstance(spec, FixedInput) and not spec.resized:
            size = (spec.width, spec.height)
        pixels = random.uniform(0, 255, (1, 3, size[1], size[0]))
        mean, std = (np.reshape(each, (1, 3, 1, 1)) for each in (spec.mean, spec.std))
        return np.asarray((pixels - mean) / std, np.float32)


def main(argv: list[str]) -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="hack/bench detectors", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here")
    parser.add_argument(
        "--packs", action="append", type=Path, default=[], metavar="FOLDER", help="more packs or weights"
    )
    parser.add_argument(
        "--size", action="append", type=_size, metavar="WxH", help=f"repeat; default: {', '.join(SIZES)}"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs of each network (default: %(default)s)")
    arguments = parser.parse_args(argv)
    sizes = arguments.size or [_size(each) for each in SIZES]
    try:
        registry = PackRegistry(weights_folders(arguments.packs, ROOT), cache_folder())
        contestants = [ours(registry), *specialists(registry)]
    except PipelineError as error:
        print(f"hack/bench detectors: {error}", file=sys.stderr)
        return 2
    result = {f"{size[0]}x{size[1]}": row(contestants, measure(contestants, size, arguments.rounds)) for size in sizes}
    table(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    return 0


def ours(registry: PackRegistry) -> Contestant:
    """The four-class detector. Raises PackError, ModelInvalid."""
    return _opened(registry, OURS, registry.get(OURS).components[0])


def specialists(registry: PackRegistry) -> list[Contestant]:
    """PicoDet-S first, then YuNet and both HyperLPR, each file once. Raises PackError, ModelInvalid."""
    found: dict[str, ComponentSpec] = {}
    for decoder in (PICODET, FACES, PLATES):
        for spec in registry.get(SPECIALISTS).components:
            if spec.decoder == decoder:
                found.setdefault(spec.file, spec)
    return [_opened(registry, SPECIALISTS, spec) for spec in found.values()]


def _opened(registry: PackRegistry, pack: str, spec: ComponentSpec) -> Contestant:
    path = registry.locate(pack, registry.get(pack).file(spec.file))
    return Contestant(spec, open_session(spec, path.read_bytes(), Runtime(threads=1)))


def measure(contestants: Sequence[Contestant], size: Size, rounds: int) -> list[float]:
    """The median milliseconds of each at a size, all run in turns."""
    random = np.random.default_rng(0)
    inputs = [each.noise(size, random) for each in contestants]
    taken: list[list[float]] = [[] for _ in contestants]
    for turn in range(WARM + rounds):
        for contestant, pixels, times in zip(contestants, inputs, taken, strict=True):
            started = time.perf_counter()
            contestant.network.run(pixels)
            if turn >= WARM:
                times.append(1e3 * (time.perf_counter() - started))
    return [statistics.median(times) for times in taken]


def row(contestants: Sequence[Contestant], medians: Sequence[float]) -> dict[str, float]:
    """The numbers of one size: velum-street comes first, PicoDet-S second, the others after it."""
    own, picodet, *others = medians
    three = picodet + sum(others)
    numbers = {
        "velum_street_ms": own,
        "picodet_ms": picodet,
        "three_ms": three,
        "picodet_ratio": own / picodet,
        "three_ratio": own / three,
    }
    each = {f"{contestant.spec.name}_ms": median for contestant, median in zip(contestants[2:], others, strict=True)}
    return {name: round(value, 4) for name, value in (numbers | each).items()}


def table(result: Mapping[str, Mapping[str, float]]) -> None:
    """Print the numbers."""
    print(f"{'input':10} {'velum-street ms':>16} {'PicoDet-S ms':>13} {'ratio':>6} {'the three ms':>13} {'ratio':>6}")
    for size, numbers in result.items():
        own, picodet, three = (numbers[f"{name}_ms"] for name in ("velum_street", "picodet", "three"))
        ratios = numbers["picodet_ratio"], numbers["three_ratio"]
        print(f"{size:10} {own:16.1f} {picodet:13.1f} {ratios[0]:6.2f} {three:13.1f} {ratios[1]:6.2f}")
    print(f"goals: ratio to PicoDet-S <= {PICODET_GOAL}, to the three <= {THREE_GOAL}")


def _size(text: str) -> Size:
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) and int(side) % MULTIPLE == 0 for side in sides):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, multiples of {MULTIPLE}, got {text!r}")
    return int(sides[0]), int(sides[1])
