"""Writing a network twice: as an ONNX graph for ONNX Runtime, and as a torch program (.pt2)."""

from __future__ import annotations

import copy
import io
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx.experimental import _config as sizes_config
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.errors import WeightsInvalid
from training.weights.halves import halve_module, halved_graph
from velum_pipeline.detect.errors import DetectionFailed, ModelInvalid
from velum_pipeline.detect.session import Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession

OPSET = 17
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first time that a zip archive can tell."""
SCORES = {"objects": 2, "parts": 2}
"""How many of an output's columns are scores, 0..1; the columns after them are pixels."""
TOLERANCE = 1e-2
"""How far the two files may be apart: half of what both may be from the network that was trained."""
ROUNDED = 2e-2
"""How far they may be from the network that was trained, whose weights were not rounded to 11 bits."""


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


def check_alike(graph: Path, program: Path, example: Tensor, network: nn.Module | None = None) -> None:
    """Raise WeightsInvalid unless Velum loads both, and both say the same of an input of another size and number.

    ``network``: what was trained, with its weights in float32; both must say about what it says.
    """
    try:
        sessions = [
            kind(path.name, path.read_bytes(), Runtime(threads=1), free_batch=True, free_size=False)
            for kind, path in ((Session, graph), (TorchSession, program))
        ]
        one, other = (session.run(example.numpy()) for session in sessions)
    except (ModelInvalid, DetectionFailed) as error:
        raise WeightsInvalid(program, str(error)) from error
    if list(one) != list(other):
        raise WeightsInvalid(program, f"its outputs are {', '.join(other)}, the graph's {', '.join(one)}")
    longest = max(example.shape[2:])
    for name in one:
        _compare(program, name, (one[name], np.asarray(other[name])), longest, TOLERANCE, graph.name)
    if network is None:
        return
    for path, outputs in ((graph, one), (program, other)):
        for (name, stored), trained in zip(outputs.items(), _said(network, example), strict=True):
            _compare(path, name, (trained, np.asarray(stored)), longest, ROUNDED, "the network that was trained")


def _said(network: nn.Module, example: Tensor) -> list[NDArray[np.float32]]:
    with torch.no_grad():
        said = copy.deepcopy(network).eval()(example)
    return [each.numpy() for each in ([said] if isinstance(said, Tensor) else said)]


def _compare(
    path: Path, name: str, pair: tuple[NDArray[Any], NDArray[Any]], longest: int, tolerance: float, whose: str
) -> None:
    """Compare an output, each of its columns by its own scale. ``longest``: the input's longer side in pixels."""
    one, other = pair
    if one.shape != other.shape:
        raise WeightsInvalid(path, f"its {name} has the shape {other.shape}, that of {whose} {one.shape}")
    with np.errstate(invalid="ignore"):  # infinite numbers differ by what is no number
        difference = float((np.abs(one - other) / _scale(name, one, longest)).max(initial=0))
    if not difference <= tolerance:  # what is not a number is not within it
        raise WeightsInvalid(path, f"its {name} is {difference:.1e} away from that of {whose}")


def _scale(name: str, values: NDArray[Any], longest: int) -> NDArray[np.float64]:
    """What a difference is measured by: scores by 1, pixels by the input's longer side, logits by the largest."""
    if name not in SCORES:
        return np.maximum(np.abs(values).max(initial=0), 1e-6).astype(np.float64)
    scales = np.full(values.shape[-1], float(longest))
    scales[: SCORES[name]] = 1
    return scales
