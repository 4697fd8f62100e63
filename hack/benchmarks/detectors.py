"""What finding costs, one thread: velum-street's network beside the specialists it replaces, `hack/bench detectors`.

Networks only: what ONNX Runtime takes from an input that is ready to the outputs; no decoding, no picture. All run in
turns in one process on the same noise, so that a busy machine slows all of them; what counts is the median of each.

* velum_street_ms: the four-class detector at that size.
* picodet_ms: PicoDet-S, whose trunk it has, as the pack `street` runs it, at that size: persons and vehicles only.
* three_ms: all that `street` runs for the four classes: YuNet and PicoDet-S at that size, HyperLPR at its own 320 x 320
  and 640 x 640. The sum of their medians.
* picodet_ratio, three_ratio: velum-street ÷ each.
* velum_street_looks_ms, street_looks_ms, looks_ratio: a picture of that size as each pack looks at it (format whole):
  all networks, each at the sizes that the manifest makes of it.

Weights are looked for as hack/evaluate does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from environment import ROOT
from evaluation.command import weights_folders
from evaluation.subjects import cache_folder
from velum_pipeline.detect import Runtime
from velum_pipeline.detect.inputs import target
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.session import Network
from velum_pipeline.detect.spec import ComponentSpec, FixedInput
from velum_pipeline.detect.tiles import Window
from velum_pipeline.detections import Floats
from velum_pipeline.errors import PipelineError
from velum_pipeline.packs import PackRegistry
from velum_pipeline.packs.errors import WeightsMissing

Size = tuple[int, int]
"""Width and height in pixels."""

Key = tuple[str, str, int, int]
"""Pack, file, width and height of the input."""

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
class Run:
    """One run of a network: which pack's component, on an input of which size."""

    pack: str
    spec: ComponentSpec
    size: Size

    @property
    def key(self) -> Key:
        """What takes the same time has the same key."""
        return self.pack, self.spec.file, *self.size

    def noise(self, random: np.random.Generator) -> Floats:
        """A picture of noise as the network is given it, (1, 3, H, W)."""
        pixels = random.uniform(0, 255, (1, 3, self.size[1], self.size[0]))
        mean, std = (np.reshape(each, (1, 3, 1, 1)) for each in (self.spec.input.mean, self.spec.input.std))
        return np.asarray((pixels - mean) / std, np.float32)


@dataclass(frozen=True)
class Networks:
    """The packs' networks, each file opened once, with one thread."""

    registry: PackRegistry
    _opened: dict[tuple[str, str], Network] = field(default_factory=dict)

    def of(self, run: Run) -> Network:
        """The network of a run. Raises PackError, ModelInvalid."""
        key = run.key[:2]
        if key not in self._opened:
            path = self.registry.locate(run.pack, self.registry.get(run.pack).file(run.spec.file))
            self._opened[key] = open_session(run.spec, path.read_bytes(), Runtime(threads=1))
        return self._opened[key]


def main(argv: list[str]) -> int:
    """Run the benchmark. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    result = {}
    try:
        networks = Networks(PackRegistry(weights_folders(arguments.packs, ROOT), cache_folder()))
        for size in arguments.size or [_size(each) for each in SIZES]:
            result[f"{size[0]}x{size[1]}"] = row(networks, size, arguments.rounds)
    except PipelineError as error:
        print(f"hack/bench detectors: {error}", file=sys.stderr)
        return 0 if arguments.if_there and isinstance(error, WeightsMissing) else 2
    table(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    return 0


def row(networks: Networks, size: Size, rounds: int) -> dict[str, float]:
    """The numbers of one size. Raises PackError, ModelInvalid, DetectionFailed."""
    own = Run(OURS, networks.registry.get(OURS).components[0], size)
    picodet, *others = three = specialists(networks.registry, size)
    looks = {pack: looked(networks.registry, pack, size) for pack in (OURS, SPECIALISTS)}
    taken = measure(networks, [own, *three, *looks[OURS], *looks[SPECIALISTS]], rounds)

    def total(runs: Iterable[Run]) -> float:
        return sum(taken[run.key] for run in runs)

    numbers = {
        "velum_street_ms": total([own]),
        "picodet_ms": total([picodet]),
        "three_ms": total(three),
        "picodet_ratio": total([own]) / total([picodet]),
        "three_ratio": total([own]) / total(three),
        "velum_street_looks_ms": total(looks[OURS]),
        "street_looks_ms": total(looks[SPECIALISTS]),
        "looks_ratio": total(looks[OURS]) / total(looks[SPECIALISTS]),
    }
    each = {f"{run.spec.name}_ms": total([run]) for run in others}
    return {name: round(value, 4) for name, value in (numbers | each).items()}


def specialists(registry: PackRegistry, size: Size) -> list[Run]:
    """PicoDet-S first, then YuNet and both HyperLPR, each file once. Raises PackNotFound."""
    found: dict[str, Run] = {}
    for decoder in (PICODET, FACES, PLATES):
        for spec in registry.get(SPECIALISTS).components:
            if spec.decoder == decoder:
                fixed = isinstance(spec.input, FixedInput) and not spec.input.resized
                own = target(spec.input, *size).canvas if fixed else size
                found.setdefault(spec.file, Run(SPECIALISTS, spec, own))
    return list(found.values())


def looked(registry: PackRegistry, pack: str, size: Size) -> list[Run]:
    """All runs for a picture of a size, as the pack looks at it in every format. Raises PackNotFound."""
    runs = []
    for spec in registry.get(pack).components:
        if spec.always and spec.input.takes(*size):
            parts = Window(0, 0, *size).parts(spec.input.split)
            runs += [Run(pack, spec, target(spec.input, part.width, part.height).canvas) for part in parts]
    return runs


def measure(networks: Networks, runs: Iterable[Run], rounds: int) -> dict[Key, float]:
    """The median milliseconds of each key, all run in turns. Raises PackError, ModelInvalid, DetectionFailed."""
    random = np.random.default_rng(0)
    unique = {run.key: run for run in runs}
    given = {key: (networks.of(run), run.noise(random)) for key, run in unique.items()}
    taken: dict[Key, list[float]] = {key: [] for key in given}
    for turn in range(WARM + rounds):
        for key, (network, pixels) in given.items():
            started = time.perf_counter()
            network.run(pixels)
            if turn >= WARM:
                taken[key].append(1e3 * (time.perf_counter() - started))
    return {key: statistics.median(times) for key, times in taken.items()}


def table(result: Mapping[str, Mapping[str, float]]) -> None:
    """Print the numbers."""
    print(f"{'input':10} {'velum-street ms':>16} {'PicoDet-S ms':>13} {'ratio':>6} {'the three ms':>13} {'ratio':>6}")
    for size, numbers in result.items():
        own, picodet, three = (numbers[f"{name}_ms"] for name in ("velum_street", "picodet", "three"))
        ratios = numbers["picodet_ratio"], numbers["three_ratio"]
        print(f"{size:10} {own:16.1f} {picodet:13.1f} {ratios[0]:6.2f} {three:13.1f} {ratios[1]:6.2f}")
    print(f"goals: ratio to PicoDet-S <= {PICODET_GOAL}, to the three <= {THREE_GOAL}\n")
    print(f"{'picture':10} {'velum-street ms':>16} {'street ms':>13} {'ratio':>6}   all looks of a pack")
    for size, numbers in result.items():
        own, other = numbers["velum_street_looks_ms"], numbers["street_looks_ms"]
        print(f"{size:10} {own:16.1f} {other:13.1f} {numbers['looks_ratio']:6.2f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/bench detectors", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="write the numbers here")
    add("--packs", action="append", type=Path, default=[], metavar="FOLDER", help="more packs or weights; repeat")
    add("--size", action="append", type=_size, metavar="WxH", help=f"repeat; default: {', '.join(SIZES)}")
    add("--if-there", action="store_true", help="say so and end well where the weights of a pack are not there")
    add("--rounds", type=_rounds, default=ROUNDS, help="runs of each network (default: %(default)s)")
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def _size(text: str) -> Size:
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) and int(side) % MULTIPLE == 0 for side in sides):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, multiples of {MULTIPLE}, got {text!r}")
    return int(sides[0]), int(sides[1])
