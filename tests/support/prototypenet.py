"""A network with prototype masks, small enough to know every answer, made twice: as an ONNX graph and in torch.

It reads what a picture says outright. Pixels are 0..1 (``std`` 255), RGB:

* red marks the objects: the mask of an object is where red exceeds a half, inside its box.
* a cell of 8x8 pixels that is blue is a centre: full blue is label 0, half blue label 2, nothing label 1.
* the green of that cell is the side of the object's square box, 256 pixels at full green.

``draw`` puts such an object into a picture.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Layout = Literal["yolov8", "yolov5", "end-to-end"]
LABELS = 3
KERNELS = 2
CELL = 8
PERSON, NOTHING, VEHICLE = range(LABELS)
BLUE = {PERSON: 255, VEHICLE: 128}

WEIGHTS = {
    # 4B - 1, 4B - 2, 4B - 3: ramps that begin, with the ReLU, at a quarter, a half and three quarters of blue
    "ramps": np.array([[0, 0, 4], [0, 0, 4], [0, 0, 4]], np.float32),
    "ramps/bias": np.array([-1, -2, -3], np.float32),
    "scores": np.array([[0, 0, 1], [0, 0, 0], [1, -2, 0]], np.float32),
    "scores/bias": np.zeros(LABELS, np.float32),
    "sides": np.array([[0, 256, 0], [0, 256, 0]], np.float32),
    "sides/bias": np.zeros(2, np.float32),
    "ones": np.zeros((1, 3), np.float32),
    "ones/bias": np.ones(1, np.float32),
    # coefficients (1 + G, 1) and prototypes (8R - 4, 0.25 - R / 2): their sum has the sign of R - 1/2
    "coefficients": np.array([[0, 1, 0], [0, 0, 0]], np.float32),
    "coefficients/bias": np.ones(KERNELS, np.float32),
    "prototypes": np.array([[8, 0, 0], [-0.5, 0, 0]], np.float32),
    "prototypes/bias": np.array([-4, 0.25], np.float32),
}
"""1x1 convolutions and their biases, for both networks."""


def draw(picture: NDArray[np.uint8], x: int, y: int, side: int, radius: int, label: int = PERSON) -> NDArray[np.bool_]:
    """Draw a disc into a BGR picture, in a square box about the cell at column x, row y; its pixels."""
    centre = (x * CELL + CELL // 2, y * CELL + CELL // 2)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    disc = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2
    picture[disc, 2] = 255
    cell = picture[y * CELL : (y + 1) * CELL, x * CELL : (x + 1) * CELL]
    cell[..., 0], cell[..., 1] = BLUE[label], round(side / 256 * 255)
    return disc


def outlined(strength: NDArray[np.uint8], disc: NDArray[np.bool_], *, margin: int) -> bool:
    """Whether a strength covers a disc and nothing further than ``margin`` pixels from it."""
    near = cv2.dilate(disc.astype(np.uint8), np.ones((2 * margin + 1,) * 2, np.uint8)) > 0
    return bool((strength[disc] > 0).all() and (strength[~near] == 0).all())


def onnx_model(layout: Layout = "yolov8", height: int = 64, width: int = 64) -> bytes:
    """The network as an exporter would leave it: sizes declared, batch of 1."""
    nodes = [
        helper.make_node("AveragePool", ["input"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("AveragePool", ["input"], ["quarters"], kernel_shape=[4, 4], strides=[4, 4]),
        *_convolution("ramps", "cells", relu=True),
        *_convolution("scores", "ramps", relu=True),
        *_convolution("sides", "cells"),
        *_convolution("ones", "cells"),
        *_convolution("coefficients", "cells"),
        *_convolution("prototypes", "quarters"),
    ]
    for axis, name in ((3, "cx"), (2, "cy")):
        nodes += [
            helper.make_node("CumSum", ["ones", f"axis{axis}"], [f"{name}/count"]),
            helper.make_node("Mul", [f"{name}/count", "cell"], [f"{name}/far"]),
            helper.make_node("Sub", [f"{name}/far", "half"], [name]),
        ]
    nodes += _predictions(layout)
    values = {
        **{name if "/" in name else f"{name}/kernel": _kernel(array) for name, array in WEIGHTS.items()},
        "cell": np.array(CELL, np.float32),
        "half": np.array(CELL / 2, np.float32),
        "two": np.array(2, np.float32),
        "axis2": np.array(2),
        "axis3": np.array(3),
        "flat": np.array([0, 0, -1]),
    }
    graph = helper.make_graph(
        nodes,
        "prototypes",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])],
        [
            helper.make_tensor_value_info("predictions", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("prototypes", TensorProto.FLOAT, [1, KERNELS, height // 4, width // 4]),
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


def _kernel(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array.reshape(*array.shape, 1, 1) if array.ndim == 2 else array


def _convolution(name: str, source: str, *, relu: bool = False) -> list[Any]:
    target = f"{name}/linear" if relu else name
    nodes = [helper.make_node("Conv", [source, f"{name}/kernel", f"{name}/bias"], [target])]
    return [*nodes, helper.make_node("Relu", [target], [name])] if relu else nodes


def _predictions(layout: Layout) -> list[Any]:
    if layout == "yolov8":
        parts = ["cx", "cy", "sides", "scores", "coefficients"]
    elif layout == "yolov5":
        parts = ["cx", "cy", "sides", "ones", "scores", "coefficients"]
    else:
        parts = ["low", "high", "score", "label", "coefficients"]
    nodes = [
        helper.make_node("Concat", parts, ["maps"], axis=1),
        helper.make_node("Reshape", ["maps", "flat"], ["predictions" if layout == "yolov8" else "columns"]),
    ]
    if layout != "yolov8":
        nodes.append(helper.make_node("Transpose", ["columns"], ["predictions"], perm=[0, 2, 1]))
    if layout != "end-to-end":
        return nodes
    return [
        helper.make_node("Concat", ["cx", "cy"], ["centres"], axis=1),
        helper.make_node("Div", ["sides", "two"], ["halves"]),
        helper.make_node("Sub", ["centres", "halves"], ["low"]),
        helper.make_node("Add", ["centres", "halves"], ["high"]),
        helper.make_node("ReduceMax", ["scores"], ["score"], axes=[1]),
        helper.make_node("ArgMax", ["scores"], ["label/index"], axis=1),
        helper.make_node("Cast", ["label/index"], ["label"], to=TensorProto.FLOAT),
        *nodes,
    ]


def torch_program(layout: Layout = "yolov8", *, fixed: tuple[int, int] | None = None) -> bytes:
    """The same network as ``torch.export`` saves it, of any size that is a multiple of 32 unless ``fixed``."""
    import torch

    dim = torch.export.Dim
    batch = None if fixed else dim("batch", min=1, max=64)
    sides = {} if fixed else {2: 32 * dim("rows", min=1, max=128), 3: 32 * dim("columns", min=1, max=128)}
    example = torch.zeros(1 if fixed else 2, 3, *(fixed or (64, 96)))
    shapes = ({0: batch, **sides} if batch else None,)
    program = torch.export.export(torch_network(layout), (example,), dynamic_shapes=shapes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def torch_network(layout: Layout) -> Any:
    """The same network as a torch module."""
    import torch
    from torch.nn import functional

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, array in WEIGHTS.items():
                self.register_buffer(name.replace("/", "_"), torch.tensor(_kernel(array)))

        def part(self, name: str, source: Any) -> Any:
            return functional.conv2d(source, getattr(self, name), getattr(self, f"{name}_bias"))

        def forward(self, picture: Any) -> tuple[Any, Any]:
            cells = functional.avg_pool2d(picture, CELL)
            scores = self.part("scores", self.part("ramps", cells).relu()).relu()
            sides, ones, coefficients = (self.part(name, cells) for name in ("sides", "ones", "coefficients"))
            centres = torch.cat([ones.cumsum(3), ones.cumsum(2)], 1) * CELL - CELL / 2
            if layout == "end-to-end":
                best, label = scores.max(1, keepdim=True)
                parts = [centres - sides / 2, centres + sides / 2, best, label.float(), coefficients]
            else:
                parts = [centres, sides, *([ones] if layout == "yolov5" else []), scores, coefficients]
            rows = torch.cat(parts, 1).flatten(2)
            prototypes = self.part("prototypes", functional.avg_pool2d(picture, 4))
            return (rows if layout == "yolov8" else rows.transpose(1, 2)), prototypes

    return Network().eval()


MANIFEST = """
name = "{name}"
version = "1"
title = "Discs"
description = "A network that sees discs."
licence = "none"

[[files]]
name = "{file}"
sha256 = "{sha256}"
size = {size}

[[components]]
name = "{name}"
file = "{file}"
licence = "none"
decoder = "prototype-masks"
batch = {batch}
head = {{ layout = "{layout}", labels = 3 }}
classes = {{ {classes} }}
input = {{ {input}, colour = "rgb", std = [255.0, 255.0, 255.0] }}
"""
CLASSES = "person = { threshold = 0.25, labels = [0] }, vehicle = { threshold = 0.25, labels = [2] }"
ANY_SIZE = 'kind = "dynamic", max_side = 4096'


def write_pack(
    folder: Path,
    model: bytes,
    file: str = "discs.onnx",
    *,
    layout: Layout = "yolov8",
    classes: str = CLASSES,
    input: str = ANY_SIZE,  # noqa: A002 -- the manifest's word
) -> Path:
    """A folder with the weights and their manifest; the pack's name is the folder's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(model)
    text = MANIFEST.format(
        name=folder.name,
        file=file,
        sha256=hashlib.sha256(model).hexdigest(),
        size=len(model),
        batch="true" if "dynamic" in input else "false",
        layout=layout,
        classes=classes,
        input=input,
    )
    (folder / "pack.toml").write_text(text)
    return folder
