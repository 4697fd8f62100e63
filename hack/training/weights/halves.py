"""Weights stored as float16: half the size, and the same answers to about three digits.

The networks still compute in float32. In an ONNX graph each stored tensor is cast where it is used, which ONNX Runtime
does once, when it loads the file; in a torch program the cast is an operator, in front of a convolution that costs a
thousand times more.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

LEAST = 256
"""Elements below which a tensor stays as it is: there is nothing to gain, and means and strides are kept exact."""


def halved_graph(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its larger float32 tensors stored as float16. The graph given is changed."""
    casts = []
    for tensor in list(graph.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < LEAST:
            continue
        name = tensor.name
        with np.errstate(over="ignore"):  # `check_alike` finds what has become infinite, here and in the program
            stored = numpy_helper.from_array(array.astype(np.float16), f"{name}.half")
        tensor.CopyFrom(stored)
        casts.append(helper.make_node("Cast", [stored.name], [name], f"{name}.widen", to=onnx.TensorProto.FLOAT))
    nodes = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*casts, *nodes])
    return graph


class _Widened(nn.Module):
    """A convolution whose weight is stored as float16."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.half(), requires_grad=False)
        self.bias = conv.bias
        self._how = (conv.stride, conv.padding, conv.dilation, conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight.float(), self.bias, *self._how)


def halve_module(module: nn.Module) -> nn.Module:
    """Store the weights of a module's convolutions as float16, in place."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.weight.numel() >= LEAST:
                setattr(parent, name, _Widened(layer))
    return module
