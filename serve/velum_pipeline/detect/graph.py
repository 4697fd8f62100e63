"""Makes an ONNX graph's batch and picture size free, so that one session serves every picture.

Exporters bake the size they were run with into the graph. Four things have to change, all without touching a weight:

1. Declared dimensions of inputs and outputs become symbols, and stored intermediate shapes go.
2. Channel shuffles (ShuffleNet v2, Ma et al. 2018) are exported as Reshape to (1, groups, C/groups, H, W), Transpose of
   axes 1 and 2, Reshape back, with H and W as constants. The three are one fixed permutation of channels, so they
   become one Gather along axis 1, which knows no size.
3. Reshapes whose constant target begins with a batch of 1 begin with 0, which in ONNX means "as in the input"; but not
   those of weights, stored as float16 and cast or as they are.
4. Initializers listed as inputs (ONNX IR 3 demanded that) leave the inputs: otherwise the runtime may not fold them.

Whether the result computes the same is not argued but tested, with every shipped model.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from velum_pipeline.detect.errors import ModelInvalid

BATCH_AXIS, ROW_AXIS = 0, 2
FREE_INITIALIZERS_IR = 4
"""The first ONNX IR version in which an initializer need not be an input."""


def freed(model: bytes, *, batch: bool, size: bool) -> bytes:
    """The model with a free batch dimension, free height and width, or both.

    Raises ModelInvalid when the bytes are no ONNX model with one picture input (batch, 3, height, width).
    """
    try:
        proto = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf's own error types are not public
        raise ModelInvalid(f"not an ONNX model: {error}") from error
    graph = proto.graph
    proto.ir_version = max(proto.ir_version, FREE_INITIALIZERS_IR)
    _drop_initializer_inputs(graph)
    if len(graph.input) != 1 or len(graph.input[0].type.tensor_type.shape.dim) != 4:
        raise ModelInvalid("the model must have one input of shape (batch, 3, height, width)")
    if size:
        _replace_shuffles(graph)
    if batch:
        _free_batch_reshapes(graph)
    _declare_free(graph, batch=batch, size=size)
    return bytes(proto.SerializeToString())


def _drop_initializer_inputs(graph: Any) -> None:
    initializers = {tensor.name for tensor in graph.initializer}
    pictures = [value for value in graph.input if value.name not in initializers]
    del graph.input[:]
    graph.input.extend(pictures)


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return values


def _replace_shuffles(graph: Any) -> None:
    constants = _constants(graph)
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    reader = {name: node for node in graph.node for name in node.input}
    for node in list(graph.node):
        shuffle = _shuffle_from(node, reader, uses, constants)
        if shuffle is None:
            continue
        last, order = shuffle
        name = f"{last.output[0]}/channels"
        graph.initializer.append(numpy_helper.from_array(order, name))
        gather = onnx.helper.make_node("Gather", [node.input[0], name], list(last.output), axis=1)
        graph.node.insert(list(graph.node).index(node), gather)
        for old in (node, reader[node.output[0]], last):
            graph.node.remove(old)


def _shuffle_from(
    node: Any, reader: dict[str, Any], uses: Counter[str], constants: dict[str, NDArray[Any]]
) -> tuple[Any, NDArray[np.int64]] | None:
    """The last node and the channel order of a shuffle that begins at ``node``, or None."""
    if node.op_type != "Reshape" or node.input[1] not in constants or uses[node.output[0]] != 1:
        return None
    target, transpose = constants[node.input[1]], reader.get(node.output[0])
    if len(target) != 5 or transpose is None or transpose.op_type != "Transpose" or uses[transpose.output[0]] != 1:
        return None
    axes = next((list(attribute.ints) for attribute in transpose.attribute if attribute.name == "perm"), None)
    last = reader.get(transpose.output[0])
    if axes != [0, 2, 1, 3, 4] or last is None or last.op_type != "Reshape":
        return None
    if len(constants.get(last.input[1], ())) != 4:
        return None
    groups, per_group = int(target[1]), int(target[2])
    order = np.arange(groups * per_group, dtype=np.int64).reshape(groups, per_group).T.ravel()
    return last, np.ascontiguousarray(order)


def _free_batch_reshapes(graph: Any) -> None:
    constants = _constants(graph)
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in weights}
    for node in list(graph.node):
        if node.op_type != "Reshape" or node.input[0] in weights:
            continue
        target = constants.get(node.input[1])
        if target is None or len(target) < 2 or target[0] != 1:
            continue
        name = f"{node.output[0]}/shape"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *target[1:]], np.int64), name))
        node.input[1] = name


def _declare_free(graph: Any, *, batch: bool, size: bool) -> None:
    del graph.value_info[:]
    dims = graph.input[0].type.tensor_type.shape.dim
    if batch:
        dims[BATCH_AXIS].dim_param = "batch"
    if size:
        dims[ROW_AXIS].dim_param, dims[ROW_AXIS + 1].dim_param = "height", "width"
    for output in graph.output:
        for axis, dim in enumerate(output.type.tensor_type.shape.dim):
            dim.dim_param = f"{output.name}/{axis}"
