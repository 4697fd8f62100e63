"""A pack on disk whose weights are made here, small enough to hash in no time and real enough to load."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

MANIFEST = """
name = "{name}"
version = "1"
title = "Test"
description = "A head that sees one plate."
licence = "none"

[[files]]
name = "plate.onnx"
sha256 = "{sha256}"
size = {size}
{origin}

[[components]]
name = "plate"
file = "plate.onnx"
licence = "none"
decoder = "yolov5face-plate"
classes = {{ license-plate = {{ threshold = 0.5 }} }}
input = {{ kind = "fixed", width = 64, height = 64, fit = "stretch", colour = "bgr" }}
"""


def plate_model() -> bytes:
    """A network that sees a plate at (24, 28, 40, 36) of every 64x64 picture."""
    row = np.array([[[32, 32, 16, 8, 1, 24, 28, 40, 28, 40, 36, 24, 36, 0.9, 0]]], np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Add", ["row", "nothing"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "plate",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, row.shape)],
        [numpy_helper.from_array(row, "row"), numpy_helper.from_array(np.zeros(1, np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@dataclass(frozen=True)
class Pack:
    """The weights and the manifest text of one pack."""

    weights: bytes
    text: Callable[..., str]

    def write(self, folder: Path, name: str = "test", *, weights: bool = True, origin: str = "") -> Path:
        """The manifest in the folder, with its weights beside it or not."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pack.toml").write_text(self.text(name=name, origin=origin))
        if weights:
            (folder / "plate.onnx").write_bytes(self.weights)
        return folder


@pytest.fixture(scope="session")
def pack() -> Pack:
    weights = plate_model()
    digest = hashlib.sha256(weights).hexdigest()

    def text(name: str = "test", origin: str = "", sha256: str = digest, size: int = len(weights)) -> str:
        return MANIFEST.format(name=name, sha256=sha256, size=size, origin=origin)

    return Pack(weights, text)
