"""What anonymizing a picture costs beside its codec: `hack/bench images --json FILE`.

The path under test is everything but detection: decode, regions for ten objects, redaction, encode. Its floor is one
JPEG decode and one encode of the same picture, by the same library at the same quality. Both run in turns, so that a
busy machine slows both; what counts is the median of each. OpenCV gets one thread, libjpeg-turbo has one anyway.

* floor_ratio: path ÷ floor, without masks (`save-mask=none`), since masks are files of their own that the floor has no
  part in.
* floor_ratio_masks: the same with both masks, as a request gets by default.
* scaling_2: the path's pictures per second in two threads of this process ÷ in one.

`--peer deface` adds Velum and deface from file to file on labelled pictures (peer/compare.py).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from peer import PeerFailed, compare

from environment import shared
from evaluation.errors import EvaluationError
from velum_pipeline import pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, SaveMask

WIDTH, HEIGHT = 1920, 1080
FACE, PLATE = (96, 128), (128, 40)
SYNTHETIC = f"synthetic {WIDTH} x {HEIGHT}"
OBJECTS = 10
QUALITY = 90
GOAL = 1.10
SCALING_GOAL = 1.8
PEERS = ("deface",)
SCALING_TURNS = 9
MASKED = Options(Method.BLUR, {each: ClassOptions.default(each) for each in ObjectClass}, quality=QUALITY)
PLAIN = replace(MASKED, save_mask=SaveMask.NONE)
NOISE = 6.8
"""Grey levels; makes 2.0 bits per pixel at quality 90. Real street pictures have 1.8 to 2.5."""


@dataclass(frozen=True)
class Row:
    """One picture's medians, in seconds."""

    name: str
    floor: float
    plain: float
    masks: float


def main(argv: list[str]) -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="hack/bench images", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument(
        "--data", type=Path, help="a folder of JPEG pictures to measure too; with --peer, labelled sets of faces"
    )
    parser.add_argument("--rounds", type=int, default=60, help="runs of each side")
    parser.add_argument("--peer", choices=PEERS, help="compare with this one, installed on demand")
    parser.add_argument("--pack", default="faces", help="with --peer: Velum's detector (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="with --peer: how often each side does all files")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    try:
        beside = against(arguments) if arguments.peer else {}
    except (EvaluationError, PeerFailed, PipelineError, OSError) as error:
        print(f"hack/bench images: {error}", file=sys.stderr)
        return 2
    pictures = {SYNTHETIC: street()}
    if arguments.data and not arguments.peer:
        pictures |= {path.name: path.read_bytes() for path in sorted(arguments.data.glob("*.jp*g"))}
    rows = [measure(name, data, arguments.rounds) for name, data in pictures.items()]
    table(rows)
    first = rows[0]
    result = {
        "floor_ratio": round(first.plain / first.floor, 4),
        "floor_ratio_masks": round(first.masks / first.floor, 4),
        "floor_ms": round(first.floor * 1e3, 3),
        "path_ms": round(first.plain * 1e3, 3),
        "path_masks_ms": round(first.masks * 1e3, 3),
        "scaling_2": round(scaling(pictures[SYNTHETIC], arguments.rounds), 4),
        **beside,
    }
    print(f"two threads: {result['scaling_2']:.2f} times one   goal >= {SCALING_GOAL}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    return 0


def against(arguments: argparse.Namespace) -> dict[str, float]:
    """Velum beside a peer. Raises EvaluationError, PeerFailed, PipelineError."""
    home = shared()
    data = arguments.data or (home and home / "data" / "eval")
    if data is None:
        raise PeerFailed("--peer needs labelled faces: give --data DIR, or name the shared folder in VELUM_SHARED")
    return compare(arguments.peer, arguments.pack, data, arguments.turns)


def street() -> bytes:
    """A JPEG with the statistics of a photograph: power falls with frequency (1/f), edges, and a sensor's noise."""
    random = np.random.default_rng(1)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for octave in range(8):
        size = (2 + 3 * 2**octave, 2 + 2 * 2**octave)
        layer = random.standard_normal((size[1], size[0], 3), np.float32)
        layer = 0.75 * layer[..., :1] + 0.25 * layer
        large = np.asarray(cv2.resize(layer, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.float32)
        picture += large * 42 / 1.6**octave
    picture = 110 + picture
    for _ in range(60):
        x, y, width, height = (int(random.integers(0, top)) for top in (WIDTH, HEIGHT, 300, 200))
        picture[y : y + height, x : x + width] += random.normal(0, 25, 3)
    picture += random.normal(0, NOISE, picture.shape).astype(np.float32)
    samples = np.clip(picture, 0, 255).astype(np.uint8)
    return bytes(simplejpeg.encode_jpeg(samples, QUALITY, "BGR", "420"))


def objects(width: int, height: int) -> Detections:
    """Five faces and five plates at fixed places, sized as in a 1080p street scene."""
    random = np.random.default_rng(2)
    boxes, classes = [], []
    for index in range(OBJECTS):
        name, size = (ObjectClass.FACE, FACE) if index % 2 == 0 else (ObjectClass.LICENSE_PLATE, PLATE)
        x, y = random.uniform(0, max(1, width - size[0])), random.uniform(0, max(1, height - size[1]))
        boxes.append((x, y, x + size[0], y + size[1]))
        classes.append(name)
    return Detections(np.array(boxes, np.float32), np.full(OBJECTS, 0.9, np.float32), as_classes(classes))


def measure(name: str, data: bytes, rounds: int) -> Row:
    """The medians of floor and path, run in turns."""
    height, width, space, subsampling = simplejpeg.decode_jpeg_header(data)
    subsampling = "Gray" if space == "Gray" else subsampling
    channels = "GRAY" if space == "Gray" else "BGR"
    found = objects(width, height)

    def floor() -> None:
        simplejpeg.encode_jpeg(simplejpeg.decode_jpeg(data, channels), QUALITY, channels, subsampling)

    sides: list[Callable[[], None]] = [floor, lambda: path(data, found, PLAIN), lambda: path(data, found, MASKED)]
    times: list[list[float]] = [[], [], []]
    for turn in range(rounds + 3):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            if turn >= 3:  # the first turns load code and tables
                times[side].append(time.perf_counter() - started)
    return Row(name, *(statistics.median(each) for each in times))


def path(data: bytes, found: Detections, options: Options) -> None:
    """One picture without detection: ``found`` are its objects."""
    product = pipeline.finish(pipeline.prepare(data), found, options, "picture", time.perf_counter())
    if not product.picture or product.counts != {"face": 5, "license-plate": 5}:
        raise SystemExit("the path did not do its work")


def scaling(data: bytes, rounds: int) -> float:
    """Pictures per second of two threads ÷ of one, the median of several turns."""
    found = objects(WIDTH, HEIGHT)
    share = max(1, rounds // SCALING_TURNS)

    def work(_thread: int) -> None:
        for _ in range(share):
            path(data, found, PLAIN)

    def rate(threads: int) -> float:
        started = time.perf_counter()
        list(pool.map(work, range(threads)))
        return threads * share / (time.perf_counter() - started)

    with ThreadPoolExecutor(2) as pool:
        rate(2)  # both threads are started, and have their memory
        return statistics.median(rate(2) / rate(1) for _ in range(SCALING_TURNS))


def table(rows: list[Row]) -> None:
    """Print the numbers."""
    print(f"{'picture':32} {'codec ms':>9} {'path ms':>9} {'ratio':>7} {'+ masks':>9} {'ratio':>7}   goal <= {GOAL}")
    for row in rows:
        plain, masks = row.plain / row.floor, row.masks / row.floor
        floor_ms, plain_ms, masks_ms = (1e3 * seconds for seconds in (row.floor, row.plain, row.masks))
        print(f"{row.name[:32]:32} {floor_ms:9.2f} {plain_ms:9.2f} {plain:7.3f} {masks_ms:9.2f} {masks:7.3f}")
