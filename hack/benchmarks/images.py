"""What anonymizing a picture costs beside its codec: `hack/bench images --json FILE`.

The path under test is everything but detection: decode, regions for ten objects, redaction, encode. Its floor is one
JPEG decode and one encode of the same picture, by the same library at the same quality. Both run in turns, so that a
busy machine slows both; what counts is the median of each. OpenCV gets one thread, libjpeg-turbo has one anyway.

* floor_ratio: path ÷ floor, without masks (`save-mask=none`), since masks are files of their own that the floor has no
  part in.
* floor_ratio_masks: the same with both masks, as a request gets by default.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from velum_pipeline import pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, SaveMask

WIDTH, HEIGHT = 1920, 1080
FACE, PLATE = (96, 128), (128, 40)
OBJECTS = 10
QUALITY = 90
GOAL = 1.15
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
    parser.add_argument("--data", type=Path, help="a folder of JPEG pictures to measure too")
    parser.add_argument("--rounds", type=int, default=60, help="runs of each side")
    arguments = parser.parse_args(argv)
    cv2.setNumThreads(1)
    pictures = {f"synthetic {WIDTH} x {HEIGHT}": street()}
    if arguments.data:
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
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result) + "\n")
    return 0


def street() -> bytes:
    """A JPEG with the statistics of a photograph: power falls with frequency (1/f), edges, and a sensor's noise."""
    random = np.random.default_rng(1)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for octave in range(8):
        size = (2 + 3 * 2**octave, 2 + 2 * 2**octave)
        layer = random.standard_normal((size[1], size[0], 3), np.float32)
        layer = 0.75 * layer[..., :1] + 0.25 * layer
        picture += cv2.resize(layer, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 42 / 1.6**octave
    picture = 110 + picture
    for _ in range(60):
        x, y, width, height = (int(random.integers(0, top)) for top in (WIDTH, HEIGHT, 300, 200))
        picture[y : y + height, x : x + width] += random.normal(0, 25, 3)
    picture += random.normal(0, NOISE, picture.shape)
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
    masked = Options(Method.BLUR, {each: ClassOptions.default(each) for each in ObjectClass}, quality=QUALITY)
    plain = replace(masked, save_mask=SaveMask.NONE)

    def floor() -> None:
        simplejpeg.encode_jpeg(simplejpeg.decode_jpeg(data, channels), QUALITY, channels, subsampling)

    def path(options: Options) -> None:
        product = pipeline.finish(pipeline.prepare(data), found, options, name, time.perf_counter())
        if not product.picture or product.counts != {"face": 5, "license-plate": 5}:
            raise SystemExit("the path did not do its work")

    sides: list[Callable[[], None]] = [floor, lambda: path(plain), lambda: path(masked)]
    times: list[list[float]] = [[], [], []]
    for turn in range(rounds + 3):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            if turn >= 3:  # the first turns load code and tables
                times[side].append(time.perf_counter() - started)
    return Row(name, *(statistics.median(each) for each in times))


def table(rows: list[Row]) -> None:
    """Print the numbers."""
    print(f"{'picture':32} {'codec ms':>9} {'path ms':>9} {'ratio':>7} {'+ masks':>9} {'ratio':>7}   goal <= {GOAL}")
    for row in rows:
        plain, masks = row.plain / row.floor, row.masks / row.floor
        floor_ms, plain_ms, masks_ms = (1e3 * seconds for seconds in (row.floor, row.plain, row.masks))
        print(f"{row.name[:32]:32} {floor_ms:9.2f} {plain_ms:9.2f} {plain:7.3f} {masks_ms:9.2f} {masks:7.3f}")
