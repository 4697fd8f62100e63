"""Tiny networks, made here, whose answers are known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from support.labelled import bright_network

Constant = Callable[[Mapping[str, NDArray[np.float32]]], bytes]


def constant_model(outputs: Mapping[str, NDArray[np.float32]], height: int = 64, width: int = 64) -> bytes:
    """A network that answers every (1, 3, height, width) with these arrays."""
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])
    nodes, values, initializers = [], [], [numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    # The input has to take part, or the runtime warns that it is unused.
    nodes.append(helper.make_node("ReduceMax", ["input"], ["most"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["most", "zero"], ["nothing"]))
    for name, array in outputs.items():
        initializers.append(numpy_helper.from_array(np.asarray(array, np.float32), f"{name}/value"))
        nodes.append(helper.make_node("Add", [f"{name}/value", "nothing"], [name]))
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    graph = helper.make_graph(nodes, "constant", [picture], values, initializers)
    return bytes(save(graph))


def save(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def bright_model() -> bytes:
    """A CenterFace-shaped network that sees a face exactly where the picture is bright."""
    return bright_network()


@pytest.fixture(scope="session")
def constant() -> Constant:
    return constant_model
