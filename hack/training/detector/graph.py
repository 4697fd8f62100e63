"""The convolutions of an ONNX graph, in the order in which it computes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from training.errors import WeightsInvalid


@dataclass(frozen=True)
class Folded:
    """A convolution of the graph with its normalisation in it: weight (out, in / groups, k, k), bias (out,)."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int


def read_convolutions(path: Path) -> list[Folded]:
    """All of them; a bias that the graph does not have is nought. Raises WeightsInvalid when the file is no graph."""
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's errors have no common base but Exception
        raise WeightsInvalid(path, f"not an ONNX file: {error}") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    found = []
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        weight = arrays[node.input[1]]
        strides = next((a.ints for a in node.attribute if a.name == "strides"), [1, 1])
        bias = arrays[node.input[2]].reshape(-1) if len(node.input) > 2 else np.zeros(len(weight), np.float32)
        found.append(Folded(weight, bias, int(strides[0])))
    return found
