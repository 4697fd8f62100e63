"""Faces of 12 px and plates of 20 px, made by shrinking labelled pictures into a larger one: the least that counts.

The floors are what was measured (20 and 27 of 30, format auto) less two or three objects.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.subjects import load_packs
from velum_pipeline.detect import Runtime
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

CANVAS = (480, 640)
"""Height and width; what stays around the shrunk picture is grey."""
PICTURES = 30
LOOSE = 0.3


def shrunk(picture: NDArray[np.uint8], box: NDArray[np.floating], side: float) -> tuple[NDArray[np.uint8], list[float]]:
    """The picture so small that the box's longer side has ``side`` pixels, on the canvas; and where the box is."""
    factor = side / (box[2:] - box[:2]).max()
    size = [max(1, round(length * factor)) for length in picture.shape[1::-1]]
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((*CANVAS, 3), 128, np.uint8)
    x, y = (CANVAS[1] - size[0]) // 2, (CANVAS[0] - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = small
    return canvas, (box * factor + np.array([x, y, x, y])).tolist()


def iou(one: list[float], other: list[float]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize(
    ("folder", "word", "wanted", "side", "recall"),
    [
        ("faces/mask853", "face", ObjectClass.FACE, 12, 0.6),
        ("plates/cars_cc0", "plate", ObjectClass.LICENSE_PLATE, 20, 0.8),
    ],
)
def test_small_objects(data: Path, folder: str, word: str, wanted: ObjectClass, side: int, recall: float) -> None:
    detector = load_packs("street", [data / "models"], Runtime(threads=1)).detector
    options = Options(Method.DETECT, {wanted: ClassOptions.default(wanted)}, tiling=Tiling("auto"))
    found = total = 0
    for entry in json.loads((data / "eval" / folder / "annotations.json").read_text()):
        boxes = [item["bbox"] for item in entry["objects"] if item["cls"] == word and not item.get("ignore")]
        if len(boxes) != 1:
            continue
        canvas, place = shrunk(cv2.imread(str(data / "eval" / folder / entry["file"])), np.array(boxes[0]), side)
        seen = detector.detect([canvas], options)[0].boxes.tolist()
        found, total = found + any(iou(box, place) >= LOOSE for box in seen), total + 1
        if total == PICTURES:
            break
    assert found >= recall * total, f"{found} of {total}"
