"""The whole detector, as it is shipped: pixels in, boxes with scores out.

Decoding is part of the network, so that ONNX Runtime and torch, and whoever else reads the files, get boxes in pixels
and need no grid.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.detector.tower import Said, Tower
from training.detector.trunk import BINS, PERSON_ROWS, STRIDES, VEHICLE_ROWS, Trunk


class Found(NamedTuple):
    """Candidates without suppression, in pixels of the input, scores 0..1.

    objects: (B, N, 6): person, vehicle, x1, y1, x2, y2; cells of strides 8, 16, 32, 64. parts: (B, M, 14): face, plate,
    x1, y1, x2, y2, four corners x, y from the top left clockwise; cells of strides 4 and 8 together,
    then 16, 32.
    """

    objects: Tensor
    parts: Tensor


class Detector(nn.Module):
    """A frozen trunk with its head for persons and vehicles, and a tower for faces and plates."""

    bins: Tensor

    def __init__(self, trunk: Trunk, tower: Tower) -> None:
        """Cut the trunk's head to what is asked of it; the trunk must have all labels still."""
        super().__init__()
        trunk.keep_labels((*PERSON_ROWS, *VEHICLE_ROWS))
        trunk.fold_deviation()
        self.trunk, self.tower = trunk.requires_grad_(False), tower
        self.register_buffer("bins", torch.arange(float(BINS)).view(BINS, 1))

    def forward(self, image: Tensor) -> Found:
        """Pixels (B, 3, H, W), RGB 0..255, sides multiples of 32."""
        features, far = self.trunk.features(image)
        maps = self.trunk.head(features.neck, far)
        return Found(self._objects(maps), parts(self.tower(features), image.shape[2], image.shape[3]))

    def _objects(self, maps: list[Tensor]) -> Tensor:
        rows = torch.cat([each.flatten(2) for each in maps], 2).transpose(1, 2)
        labels, sides = rows.split([rows.shape[2] - 4 * BINS, 4 * BINS], 2)
        person, vehicles = labels.split([len(PERSON_ROWS), len(VEHICLE_ROWS)], 2)
        scores = torch.cat([person, vehicles.amax(2, keepdim=True)], 2).sigmoid()
        distances = (sides.reshape(rows.shape[0], -1, 4, BINS).softmax(3) @ self.bins).squeeze(3)
        centres, strides = (
            torch.cat([_cells(m) for m in maps]),
            torch.cat([m.new_full((m.shape[2] * m.shape[3], 1), float(s)) for m, s in zip(maps, STRIDES, strict=True)]),
        )
        return torch.cat([scores, _boxes(centres * strides, distances * strides)], 2)


def parts(said: Said, height: int, width: int) -> Tensor:
    """What the tower said of an input of this size, as (B, M, 14)."""
    centres, strides = grid(height, width, said.logits)
    boxes = _boxes(centres, said.sides.exp() * strides)
    corners = said.corners * strides + centres.repeat(1, 4)
    return torch.cat([said.logits.sigmoid(), boxes, corners], 2)


def grid(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (M, 2) in pixels and strides (M, 1) of the tower's cells, in its order."""
    eight = _centres(height // 8, width // 8, like) * 8
    around = like.new_tensor([[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0], [0.0, 0.0]])
    centres = [(eight[:, None] + around).reshape(-1, 2)]
    strides = [(eight[:, :1] * 0 + like.new_tensor([4.0, 4.0, 4.0, 4.0, 8.0])).reshape(-1, 1)]
    for stride in (16, 32):
        centres.append(_centres(height // stride, width // stride, like) * stride)
        strides.append(centres[-1][:, :1] * 0 + stride)  # not len(): an export would keep the example's count
    return torch.cat(centres), torch.cat(strides)


def _cells(level: Tensor) -> Tensor:
    return _centres(level.shape[2], level.shape[3], level)


def _centres(rows: int, columns: int, like: Tensor) -> Tensor:
    """(rows * columns, 2) x and y of the cells' centres, in cells."""
    y = torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5
    x = torch.arange(columns, device=like.device, dtype=like.dtype) + 0.5
    return torch.stack([x[None, :].expand(rows, columns), y[:, None].expand(rows, columns)], 2).reshape(-1, 2)


def _boxes(centres: Tensor, distances: Tensor) -> Tensor:
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)
