"""Labelled pictures made here, and a network that finds what is in them: black, and a face in every bright cell."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
FACE = 16
"""Pixels of every face that the network sees."""

MANIFEST = """
name = "{name}"
version = "1"
title = "Bright"
description = "A head that sees a face around every bright cell."
licence = "none"

[[files]]
name = "bright.onnx"
sha256 = "{sha256}"
size = {size}

[[components]]
name = "bright"
file = "bright.onnx"
licence = "none"
decoder = "centerface"
classes = {{ face = {{ threshold = 0.5 }} }}
input = {{ kind = "fixed", width = 64, height = 64, fit = "stretch", colour = "bgr" }}
"""

Cell = tuple[int, int]
"""Column and row in a grid of 16x16 cells of 4 pixels."""


def bright_network() -> bytes:
    """A CenterFace-shaped network: its heat map is the brightness of 4x4 cells, every face is 4x4 cells (16 px)."""
    heat = helper.make_tensor_value_info("heat", TensorProto.FLOAT, [1, 1, 16, 16])
    others = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 16, 16]) for name in ("size", "offset")]
    weights = [
        numpy_helper.from_array(np.full((1, 3, 4, 4), 1 / (48 * 255), np.float32), "kernel"),
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        numpy_helper.from_array(np.full(1, np.log(4), np.float32), "log4"),
    ]
    nodes = [
        helper.make_node("Conv", ["input", "kernel"], ["heat"], strides=[4, 4]),
        helper.make_node("Mul", ["heat", "zero"], ["nothing"]),
        helper.make_node("Concat", ["nothing", "nothing"], ["offset"], axis=1),
        helper.make_node("Add", ["offset", "log4"], ["size"]),
    ]
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "bright", [picture], [heat, *others], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def face(column: int, row: int, **fields: Any) -> dict[str, Any]:
    """A label for the face that is seen where the cell at (column, row) of a 16x16 grid is bright."""
    x, y = 4 * column + 2 - FACE / 2, 4 * row + 2 - FACE / 2
    return {"cls": "face", "bbox": [x, y, x + FACE, y + FACE], **fields}


def drawn(*cells: tuple[int, int]) -> NDArray[np.uint8]:
    """A black picture with bright cells."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    for column, row in cells:
        picture[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 255
    return picture


def write_set(folder: Path, pictures: Sequence[tuple[list[Cell], list[dict[str, Any]]]], **fields: Any) -> Path:
    """A set of PNG pictures 0.png, 1.png, ... with these cells bright and these objects labelled."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for index, (cells, objects) in enumerate(pictures):
        cv2.imwrite(str(folder / f"{index}.png"), drawn(*cells))
        entries.append({"file": f"{index}.png", "width": SIDE, "height": SIDE, "objects": objects, **fields})
    (folder / "annotations.json").write_text(json.dumps(entries))
    return folder


def write_pack(folder: Path, network: bytes, name: str = "bright", *, weights: bool = True) -> Path:
    """A pack with the network, its weights beside the manifest or not."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(network).hexdigest()
    (folder / "pack.toml").write_text(MANIFEST.format(name=name, sha256=digest, size=len(network)))
    if weights:
        (folder / "bright.onnx").write_bytes(network)
    return folder
