"""A network of the family ``street``, small enough to know every answer, in torch and exported from there to ONNX.

It reads what a picture says outright. Pixels are 0..255, RGB:

* the blue of a cell says what has its centre there: of an 8x8 cell a person (full) or a vehicle (half), of a 4x4 cell a
  face (a quarter) or a plate (three quarters).
* the green of that cell is the side of the object's square box, 256 pixels at full green; a plate is a quarter as high.
* red marks the objects' pixels, for ``outlinenet``.

``draw`` and ``draw_part`` put such objects into a picture; ``write_pack`` writes a pack of both networks.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch.fx.experimental import _config
from torch.nn import functional

from velum_pipeline.options import ObjectClass

FACE, PLATE, PERSON, VEHICLE = ObjectClass
CELLS = {PERSON: 8, VEHICLE: 8, FACE: 4, PLATE: 4}
BLUE = {PERSON: 255, VEHICLE: 128, FACE: 64, PLATE: 191}
FULL_SIDE = 256
"""Pixels that full green stands for."""
PLATE_ASPECT = 4


def draw(picture: NDArray[np.uint8], what: ObjectClass, x: int, y: int, side: int, radius: int) -> NDArray[np.bool_]:
    """Draw a disc into a BGR picture, in a square box about the cell at column x, row y; its pixels."""
    cell = CELLS[what]
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    disc = (columns - (x + 0.5) * cell) ** 2 + (rows - (y + 0.5) * cell) ** 2 <= radius**2
    picture[disc, 2] = 255
    draw_part(picture, what, x, y, side)
    return disc


def draw_part(picture: NDArray[np.uint8], what: ObjectClass, x: int, y: int, side: int) -> None:
    """Mark an object of this side about the cell at column x, row y, and change nothing else."""
    cell = CELLS[what]
    own = picture[y * cell : (y + 1) * cell, x * cell : (x + 1) * cell]
    own[..., 0], own[..., 1] = BLUE[what], round(side / FULL_SIDE * 255)


class Street(torch.nn.Module):
    """The network: ``forward`` (B, 3, H, W) of multiples of 32 gives ``objects`` and ``parts``."""

    def __init__(self) -> None:
        super().__init__()
        # A 1x1 convolution that does nothing, so that there are weights to store.
        self.register_buffer("kernel", torch.eye(3).reshape(3, 3, 1, 1) / 255)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shades = functional.conv2d(image, self.kernel)
        return self._rows(shades, PERSON, VEHICLE), self._rows(shades, FACE, PLATE)

    def _rows(self, shades: torch.Tensor, *classes: ObjectClass) -> torch.Tensor:
        cell = CELLS[classes[0]]
        cells = functional.avg_pool2d(shades, cell)
        # A tent about each class's blue, so narrow that no other class's is under it; coarser strides see nothing.
        scores = [(1 - (cells[:, 2:] - BLUE[name] / 255).abs() * 8).relu() for name in classes]
        finest = torch.cat([*scores, *self._geometry(cells[:, 1:2], cell, scores[1])], 1)
        maps = [finest, *(finest[:, :, ::step, ::step] * 0 for step in (2, 4, 8))]
        return torch.cat([one.flatten(2).transpose(1, 2) for one in maps], 1)

    def _geometry(self, green: torch.Tensor, cell: int, plate: torch.Tensor) -> list[torch.Tensor]:
        ones = torch.ones_like(green)
        cx, cy = (ones.cumsum(axis) * cell - cell / 2 for axis in (3, 2))
        half = green * (FULL_SIDE / 2)
        parts = cell == CELLS[PLATE]
        high = half / (1 + (PLATE_ASPECT - 1) * plate) if parts else half
        left, top, right, bottom = cx - half, cy - high, cx + half, cy + high
        return [left, top, right, bottom, *([left, top, right, top, right, bottom, left, bottom] if parts else [])]


def onnx_model(network: torch.nn.Module | None = None, *, names: tuple[str, ...] = ("objects", "parts")) -> bytes:
    """The network as an ONNX graph whose batch, height and width are free."""
    buffer, example = io.BytesIO(), torch.zeros(2, 3, 64, 96)
    free = {"image": {0: "batch", 2: "height", 3: "width"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own exporter old
        torch.onnx.export(
            network or Street().eval(),
            (example,),
            buffer,
            input_names=["image"],
            output_names=list(names),
            dynamic_axes=free,
            opset_version=17,
            dynamo=False,
        )
    return buffer.getvalue()


def torch_program(network: torch.nn.Module | None = None) -> bytes:
    """The same as ``torch.export`` saves it, of any batch and of sides that are multiples of 32."""
    rows, columns = (32 * torch.export.Dim(side, min=1, max=128) for side in ("rows", "columns"))
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 2: rows, 3: columns}
    return exported(network or Street().eval(), torch.zeros(2, 3, 64, 96), sizes)


def exported(network: torch.nn.Module, example: torch.Tensor, sizes: dict[int, Any]) -> bytes:
    """A .pt2 file in which these axes of the input are free, down to where a map is one cell wide.

    Without ``backed_size_oblivious`` torch takes a size of 1 for a case of its own, and the program refuses whatever
    was not so at export.
    """
    buffer = io.BytesIO()
    with _config.patch(backed_size_oblivious=True):
        torch.export.save(torch.export.export(network, (example,), dynamic_shapes=(sizes,)), buffer)
    return buffer.getvalue()


def stored_as_half(model: bytes) -> bytes:
    """The ONNX graph with its float32 weights stored as float16, each cast back before it is used."""
    proto = onnx.load_model_from_string(model)
    casts = []
    for tensor in proto.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}/half"))
            casts.append(helper.make_node("Cast", [f"{name}/half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


COMPONENT = """
[[components]]
name = "street"
file = "street.onnx"
{street_torch}
licence = "none"
decoder = "street"
batch = true
input = {{ kind = "dynamic", multiple = 32, max_side = 1920, colour = "rgb" }}

[components.classes]
face = {{ threshold = 0.5 }}
license-plate = {{ threshold = 0.5 }}
person = {{ threshold = 0.4 }}
vehicle = {{ threshold = 0.4 }}
"""
OUTLINES = """
[[outlines]]
name = "outline"
file = "outline.onnx"
{outline_torch}
licence = "none"
batch = true
classes = ["person", "vehicle"]
side = 64
{outline_keys}
"""


def write_pack(
    folder: Path, *, outline: bytes | None = None, torch_files: dict[str, bytes] | None = None, keys: str = ""
) -> Path:
    """A folder with the network, its manifest, and an outline network if one is given; its name is the pack's.

    torch_files: torch programs beside ``street`` or ``outline``. keys: further lines of the outlines' entry.
    """
    programs = torch_files or {}
    files = {"street.onnx": onnx_model()} | {f"{name}.pt2": data for name, data in programs.items()}
    parts = [COMPONENT]
    if outline is not None:
        files["outline.onnx"] = outline
        parts.append(OUTLINES)
    head = f'name = "{folder.name}"\nversion = "1"\ntitle = "Street"\ndescription = "Sees colours."\nlicence = "none"\n'
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, Any] = {
        f"{name}_torch": f'torch = "{name}.pt2"' if name in programs else "" for name in ("street", "outline")
    }
    text = head + "".join(map(_file, files, files.values()))
    (folder / "pack.toml").write_text(text + "".join(parts).format(**named, outline_keys=keys))
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _file(name: str, data: bytes) -> str:
    return f'\n[[files]]\nname = "{name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nsize = {len(data)}\n'
