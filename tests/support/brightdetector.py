"""Detectors whose answers are known: faces where a picture is bright, plates where they are told to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect import Component, ComponentSpec, Detector, Runtime
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

CPU = Runtime(threads=1)
FACE, PLATE = ObjectClass.FACE, ObjectClass.LICENSE_PLATE
Constant = Callable[[Mapping[str, NDArray[np.float32]]], bytes]
DYNAMIC = {"kind": "dynamic", "max_side": 4096, "colour": "bgr", "multiple": 4}
FACE_SIDE = 16
"""The bright network's faces."""
CORNERS = [24.0, 28.0, 40.0, 28.0, 40.0, 36.0, 24.0, 36.0]
PLATE_ROW = [32.0, 32.0, 16.0, 8.0, 1.0, *CORNERS, 0.9, 0.0]


def options(*classes: ObjectClass, tiling: Tiling | None = None, threshold: float = 0.5) -> Options:
    return Options(
        Method.DETECT,
        {name: ClassOptions(threshold, 0.5 if name.relative_kernel else 61) for name in classes or (FACE,)},
        tiling=tiling or Tiling(),
    )


def component(model: bytes, **changes: object) -> Component:
    values = {
        "name": "bright",
        "file": "bright.onnx",
        "licence": "none",
        "decoder": "centerface",
        "input": DYNAMIC,
        "classes": {"face": {"threshold": 0.5}},
        "batch": True,
    }
    return Component.load(ComponentSpec.model_validate(values | changes), model, CPU)


def plates(constant: Constant, *rows: list[float]) -> Component:
    model = constant({"output": np.array([rows], np.float32)})
    fixed = {"kind": "fixed", "width": 64, "height": 64, "fit": "stretch", "colour": "bgr"}
    return component(
        model,
        name="plates",
        decoder="yolov5face-plate",
        input=fixed,
        classes={"license-plate": {"threshold": 0.5}},
        batch=False,
    )


def picture(width: int, height: int, *faces: tuple[int, int]) -> NDArray[np.uint8]:
    """Black, with a bright 4x4 cell for the face whose box begins at each (x, y), multiples of 4."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for x, y in faces:
        cell = [(x + 6) % width // 4 * 4, (y + 6) // 4 * 4]
        pixels[cell[1] : cell[1] + 4, cell[0] : cell[0] + 4] = 255
    return pixels


def boxes(detector: Detector, pixels: NDArray[np.uint8], wanted: Options) -> list[list[float]]:
    return sorted(detector.detect([pixels], wanted)[0].boxes.round(2).tolist())
