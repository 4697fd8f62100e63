"""PicoDet-S's graph with weights at random, as far as it is read: its convolutions, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

Shape = tuple[int, int, int, int]
"""Channels out, channels in per group, kernel, stride."""
REDUCED = 8
STAGES = ((24, 96, 2), (96, 192, 6), (192, 384, 2))


def shapes() -> Iterator[Shape]:
    yield (24, 3, 3, 2)
    for inward, outward, count in STAGES:
        half = outward // 2
        yield from [(inward, 1, 3, 2), (half, inward, 1, 1), (half, inward, 1, 1), (half, 1, 3, 2)]
        yield from [(REDUCED, half, 1, 1), (half, REDUCED, 1, 1), (half, half, 1, 1)]
        yield from [(outward, 1, 3, 1), (outward, outward, 1, 1)]
        for _ in range(count):
            yield from [(half // 2, half, 1, 1), (half // 2, 1, 3, 1), (REDUCED, half, 1, 1), (half, REDUCED, 1, 1)]
            yield (half, half, 1, 1)
    yield from [(96, outward, 1, 1) for _, outward, _ in STAGES]
    layer = [(48, 192, 1, 1), (48, 192, 1, 1), (48, 48, 1, 1), (48, 1, 5, 1), (48, 48, 1, 1), (96, 96, 1, 1)]
    halving = [(96, 1, 5, 2), (96, 96, 1, 1)]
    yield from [*layer, *layer, *halving, *layer, *halving, *layer, *halving, *halving]
    for _ in range(4):
        yield from [(96, 1, 5, 1), (96, 96, 1, 1), (96, 1, 5, 1), (96, 96, 1, 1), (112, 96, 1, 1)]


def write_picodet(path: Path, seed: int = 0, leave_out: int = 0) -> None:
    """Write the file; ``leave_out``: so many of the last convolutions are missing."""
    draw = np.random.default_rng(seed)
    nodes, tensors = [], []
    found = list(shapes())
    for number, (outward, inward, kernel, stride) in enumerate(found[: len(found) - leave_out]):
        weight = draw.normal(0, (2 / (inward * kernel**2)) ** 0.5, (outward, inward, kernel, kernel))
        tensors += [
            numpy_helper.from_array(weight.astype(np.float32), f"w{number}"),
            numpy_helper.from_array(np.zeros(outward, np.float32), f"b{number}"),
        ]
        names = [f"x{number}", f"w{number}", f"b{number}"]
        nodes.append(helper.make_node("Conv", names, [f"x{number + 1}"], strides=[stride, stride]))
    graph = helper.make_graph(nodes, "picodet", [], [], tensors)
    onnx.save(helper.make_model(graph), str(path))
