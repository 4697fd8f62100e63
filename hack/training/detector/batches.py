"""Batches of crops, already through the frozen trunk: what the tower trains on.

Batch number k depends on the seed and on k alone, so a run that was stopped goes on with the batches that it would have
seen. The trunk runs in ONNX Runtime, in the process that makes the crops: it is frozen, and there it is faster.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.detector.appearance import changed
from training.detector.crops import Pixels, Sample
from training.detector.kinds import sample
from training.detector.loss import Wanted
from training.detector.plates import repainted
from training.detector.trunk import Trunk
from training.errors import SetInvalid
from training.labels.records import Record

SIZES = ((448, 384), (384, 448), (416, 416), (512, 352), (480, 352))
"""Width and height of crops, of about the same area; one for a batch."""
SHARES: Mapping[str, float] = {
    "highway_id": 0.3,
    "ccp_street": 0.4,
    "coco_tiny": 2.0,
    "openimages_lp": 2.5,
    "plates_romania": 1.5,
    "faces_maskon": 3.0,
    "indoor_bg": 1.0,
}
"""How often a picture of a set is drawn: much where labels are by hand, little where a set is large and alike."""
OTHER_SHARE = 1.0
AHEAD = 4
"""Batches that are made before they are asked for."""
KEPT = 1 << 30
"""Bytes of decoded pictures that a process keeps, those that were used last."""


@dataclass(frozen=True)
class Batch:
    """``size``: (height, width). features: as `Features.tensors`. wanted: one for each picture."""

    size: tuple[int, int]
    features: tuple[Tensor, ...]
    wanted: list[Wanted]


class Crops(Dataset[Batch]):
    """The batches of a run by number."""

    def __init__(self, records: Sequence[Record], folder: Path, trunk: Path, batch: int, seed: int) -> None:
        """``folder``: of the sets. ``trunk``: the ONNX file that `export_trunk` wrote."""
        self._records = list(records)
        self._folder, self._trunk, self._batch, self._seed = folder, trunk, batch, seed
        self._chance = np.cumsum([SHARES.get(record.set, OTHER_SHARE) for record in self._records])
        self._pictures: OrderedDict[str, Pixels] = OrderedDict()
        self._room = KEPT
        self._session: Any = None

    def pixels(self, number: int) -> tuple[tuple[int, int], list[Sample]]:
        """The crops of batch ``number``, and their (height, width)."""
        draw = np.random.default_rng([self._seed, number])
        size = SIZES[draw.integers(len(SIZES))]
        made = [
            changed(repainted(sample(self._records, self._chance, self._read, size, draw), draw), draw)
            for _ in range(self._batch)
        ]
        return (size[1], size[0]), made

    def __getitem__(self, number: int) -> Batch:
        """Batch ``number``, from 0 on."""
        size, made = self.pixels(number)
        pictures = np.stack([each.pixels[:, :, ::-1].transpose(2, 0, 1) for each in made]).astype(np.float32)
        if self._session is None:
            cv2.setNumThreads(1)
            self._session = _session(self._trunk)
        features = self._session.run(None, {"image": pictures})
        # Channels last, as torch's convolutions on a CPU like them.
        tensors = (torch.from_numpy(each).contiguous(memory_format=torch.channels_last) for each in features)
        return Batch(size, tuple(tensors), [_wanted(each) for each in made])

    def _read(self, record: Record) -> Pixels:
        if record.file in self._pictures:
            self._pictures.move_to_end(record.file)
            return self._pictures[record.file]
        # Boxes are of the picture as it is stored, whatever its EXIF says.
        how = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        read = cv2.imread(str(self._folder / record.file), how)
        if read is None or read.shape[:2] != (record.height, record.width):
            raise SetInvalid(record.set, f"{record.file} is not a picture of {record.width}x{record.height} pixels")
        pixels = self._pictures[record.file] = np.asarray(read, np.uint8)
        self._room -= pixels.nbytes
        while self._room < 0 and len(self._pictures) > 1:
            self._room += self._pictures.popitem(last=False)[1].nbytes
        return pixels


def _wanted(made: Sample) -> Wanted:
    return Wanted(
        *(
            torch.from_numpy(np.ascontiguousarray(each))
            for each in (made.classes, made.boxes, made.corners, made.ignore)
        )
    )


def _session(trunk: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(trunk), options, providers=["CPUExecutionProvider"])


def loader(crops: Crops, numbers: range, workers: int) -> DataLoader[Batch]:
    """The batches of these numbers in order, made by ``workers`` processes; by this one if 0."""
    return DataLoader(
        crops, batch_size=None, sampler=numbers, num_workers=workers, prefetch_factor=AHEAD if workers else None
    )


class _OnlyFeatures(nn.Module):
    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.trunk.features(image)[0].tensors()


def export_trunk(trunk: Trunk, path: Path) -> None:
    """Write the trunk without its head as an ONNX graph of free batch and size; input `image` as the detector's."""
    names = [f"feature{number}" for number in range(7)]
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():  # as in training.weights.files
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _OnlyFeatures(trunk).eval(),
            (torch.zeros(2, 3, 416, 320),),
            str(path),
            opset_version=17,
            dynamo=False,
            input_names=["image"],
            output_names=names,
            dynamic_axes=dict.fromkeys(["image", *names], axes),
        )
