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
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.errors import WeightsInvalid
from training.weights.halves import halve_module, halved_graph

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
            dynamic_axes={form.image: axes, **{name: {0: axes[0], 1: f"{name}_rows"} for name in form.outputs}},
        )
    graph = halved_graph(onnx.load_from_string(buffer.getvalue()))
    del graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(graph.SerializeToString())


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
    """Raise WeightsInvalid unless both files say the same of an input of another size than that of the export."""
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    said = session.run(None, {session.get_inputs()[0].name: example.numpy()})
    with torch.inference_mode():
        tensors = torch.export.load(program).module()(example)
    for name, one in zip([each.name for each in session.get_outputs()], said, strict=True):
        other = tensors[name]
        difference = float(np.abs(one - other.numpy()).max()) / max(float(np.abs(one).max()), 1e-6)
        if one.shape != tuple(other.shape) or difference > TOLERANCE:
            raise WeightsInvalid(program, f"its {name} is {difference:.1e} away from that of {graph.name}")
