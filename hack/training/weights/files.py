"""Writing a network twice: as an ONNX graph for ONNX Runtime, and as a torch program (.pt2)."""

from __future__ import annotations

import copy
import io
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as sizes_config
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.errors import WeightsInvalid
from training.weights.halves import halve_module, halved_graph
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.detect.session import Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession

OPSET = 17
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip archive can tell."""
TOLERANCE = 2e-3
"""How far the two files may be apart, of the largest number of an output."""


@dataclass(frozen=True)
class Form:
    """How a network is called: its input's and outputs' names, an example input, and which of its axes are free.

    free: axis to (name, least, greatest, step): the sizes that a torch program is made for.
    """

    image: str
    outputs: Sequence[str]
    example: Tensor
    free: Mapping[int, tuple[str, int, int, int]]


def fused(module: nn.Module) -> nn.Module:
    """A copy in eval mode whose batch normalisations are within their convolutions."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in list(module.modules()):
        if isinstance(parent, nn.Sequential):
            for index in range(len(parent) - 1):
                if isinstance(parent[index], nn.Conv2d) and isinstance(parent[index + 1], nn.BatchNorm2d):
                    parent[index] = fuse_conv_bn_eval(parent[index], parent[index + 1])  # type: ignore[type-var]
                    parent[index + 1] = nn.Identity()
    return module


def write_onnx(module: nn.Module, form: Form, path: Path) -> None:
    """Write the graph with float16 weights, checked by ONNX."""
    buffer = io.BytesIO()
    axes = {axis: name for axis, (name, *_) in form.free.items()}
    with warnings.catch_warnings():  # this exporter says at every call that another will follow it
        warnings.simplefilter("ignore")
        torch.onnx.export(
            fused(module),
            (form.example,),
            buffer,
            opset_version=OPSET,
            dynamo=False,
            input_names=[form.image],
            output_names=list(form.outputs),
            dynamic_axes={form.image: axes, **{name: _axes(name, axes) for name in form.outputs}},
        )
    graph = halved_graph(onnx.load_from_string(buffer.getvalue()))
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString())


def _axes(output: str, free: Mapping[int, str]) -> dict[int, str]:
    """An output has as many rows as the input's size makes; of an input of one size its own size is known."""
    return {0: free[0], **({1: f"{output}_rows"} if len(free) > 1 else {})}


class _Named(nn.Module):
    """A network whose outputs have names, in the order of the graph's."""

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self._names = network, tuple(names)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        said = self.network(image)
        return dict(zip(self._names, [said] if isinstance(said, Tensor) else said, strict=True))


def write_program(module: nn.Module, form: Form, path: Path) -> None:
    """Write the torch program with float16 weights."""
    sizes = {}
    for axis, (name, least, greatest, step) in form.free.items():
        free = torch.export.Dim(name, min=least, max=greatest)
        sizes[axis] = free if step == 1 else step * free
    named = _Named(halve_module(fused(module)), form.outputs)
    # Sizes of one are sizes like others: else the program would refuse them where the example had more.
    with sizes_config.patch(backed_size_oblivious=True):
        program = torch.export.export(named, (form.example,), dynamic_shapes=(sizes,))
    for node in program.graph.nodes:  # where in our code an operator is from is half of the file, and nobody's concern
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(key, None)
    program.example_inputs = None
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    path.write_bytes(_packed(buffer.getvalue()))


def _packed(program: bytes) -> bytes:
    """The same archive with its texts compressed, and without the time of its making."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            target.writestr(entry, source.read(name))
    return packed.getvalue()


def check_alike(graph: Path, program: Path, example: Tensor) -> None:
    """Raise WeightsInvalid unless Velum loads both, and both say the same of an input of another size and number."""
    try:
        sessions = [
            kind(path.name, path.read_bytes(), Runtime(threads=1), free_batch=True, free_size=False)
            for kind, path in ((Session, graph), (TorchSession, program))
        ]
        said = [session.run(example.numpy()) for session in sessions]
    except ModelInvalid as error:
        raise WeightsInvalid(program, str(error)) from error
    if list(said[0]) != list(said[1]):
        raise WeightsInvalid(program, f"its outputs are {', '.join(said[1])}, the graph's {', '.join(said[0])}")
    for name, one in said[0].items():
        other = np.asarray(said[1][name])
        difference = float(np.abs(one - other).max()) / max(float(np.abs(one).max()), 1e-6)
        if one.shape != other.shape or difference > TOLERANCE:
            raise WeightsInvalid(program, f"its {name} is {difference:.1e} away from that of {graph.name}")
