"""What the maps say as scores and pixels, computed in planes: each number of all cells lies together until the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.detector.blocked.convolutions import picked
from training.detector.tower import CLASSES, QUARTERS, ROWS, SIDES, Tower
from training.detector.tower import STRIDES as PART_STRIDES
from training.detector.trunk import BINS, PERSON_ROWS, STRIDES, VEHICLE_ROWS, Trunk

LARGEST = 80.0
"""Of a bin's logit above the mean of its side's: exp() of it is finite, and eight of them, times seven, still are."""

QUARTER_CENTRES = ((-2.0, -2.0), (2.0, -2.0), (-2.0, 2.0), (2.0, 2.0))
"""Of the quarters of a cell of 8 x 8 pixels, x and y from its centre."""
CENTRE = (0.0, 0.0)


class Objects(nn.Module):
    """The head, and boxes of persons and vehicles."""

    sums: Tensor

    def __init__(self, trunk: Trunk) -> None:
        """Softmax does not care what is added to all bins of a side: the mean of them is taken off in the weights."""
        super().__init__()
        self.heads = nn.ModuleList(nn.Sequential(*head[:-1], _centred(head[-1])) for head in trunk.heads)
        bins, one = torch.arange(float(BINS)), torch.ones(BINS)
        signed, whole = torch.block_diag(-bins, -bins, bins, bins), torch.block_diag(one, one, one, one)
        self.register_buffer("sums", torch.cat([signed, whole]))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Of strides 8, 16, 32, 64: (B, N, 6) as `Found.objects`."""
        maps = [head(level) for head, level in zip(self.heads, features, strict=True)]
        rows = torch.cat([each.flatten(2) for each in maps], 2)
        person, vehicles, bins = rows.split([len(PERSON_ROWS), len(VEHICLE_ROWS), 4 * BINS], 1)
        scores = torch.cat([person, vehicles.amax(1, keepdim=True)], 1).sigmoid()
        distances, whole = torch.matmul(self.sums, bins.clamp(max=LARGEST).exp()).split([4, 4], 1)
        places = [centres(each, stride) for each, stride in zip(maps, STRIDES, strict=True)]
        strides = torch.cat([place[:1] * 0 + stride for place, stride in zip(places, STRIDES, strict=True)], 1)
        centre = torch.cat(places, 1)
        return torch.cat([scores, distances / whole * strides + torch.cat([centre, centre])], 1).transpose(1, 2)


def _centred(conv: nn.Conv2d) -> nn.Conv2d:
    """A copy whose bins' logits have a mean of 0 for each side."""
    made = picked(conv)
    with torch.no_grad():
        for values in (made.weight, made.bias):
            assert values is not None
            bins = values[-4 * BINS :].view(4, BINS, -1)
            bins -= bins.mean(1, keepdim=True)
    return made


class Parts(nn.Module):
    """The tower's answers, and boxes and corners of faces and plates."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        quarter, *strides = PART_STRIDES
        cells = [[(quarter, place) for place in QUARTER_CENTRES] if stride == strides[0] else [] for stride in strides]
        self.answers = nn.ModuleList(
            Answer(conv, [*others, (stride, CENTRE)])
            for conv, others, stride in zip(tower.answers, cells, strides, strict=True)
        )
        assert len(QUARTER_CENTRES) == QUARTERS

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Of strides 8, 16, 32: (B, M, 14) as `Found.parts`."""
        return torch.cat([answer(level) for answer, level in zip(self.answers, features, strict=True)], 1)


class Answer(nn.Module):
    """The cells of one map. ``cells``: of each place, the stride and the centre's x and y from the place's centre."""

    scales: Tensor
    around: Tensor

    def __init__(self, conv: nn.Conv2d, cells: Sequence[tuple[int, tuple[float, float]]]) -> None:
        """Two convolutions, for what is changed after and for corners, which the weights make pixels of."""
        super().__init__()
        self.count, self.stride = len(cells), cells[-1][0]
        first = [range(cell * ROWS, (cell + 1) * ROWS) for cell in range(self.count)]
        ends = len(CLASSES), len(CLASSES) + SIDES
        logits = [row for rows in first for row in rows[: ends[0]]]
        sides = [row for rows in first for row in rows[ends[0] : ends[1]]]
        self.boxes = picked(conv, [*logits, *sides])
        self.corners = picked(conv, [row for rows in first for row in rows[ends[1] :]])
        strides = torch.tensor([float(stride) for stride, _ in cells])
        with torch.no_grad():
            for values in (self.corners.weight, self.corners.bias):
                assert values is not None
                values.view(self.count, -1).mul_(strides[:, None])
        signs = torch.tensor([-1.0, -1.0, 1.0, 1.0])
        self.register_buffer("scales", (strides[:, None] * signs).view(self.count, SIDES, 1))
        self.register_buffer("around", torch.tensor([place for _, place in cells]).view(self.count, 1, 2, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, H * W * cells, 14)."""
        boxes, corners = self.boxes(features), self.corners(features)
        batch, count = boxes.shape[0], self.count
        logits, sides = boxes.split([count * len(CLASSES), count * SIDES], 1)
        there = centres(boxes, self.stride) + self.around
        pairs = (sides.clamp(-5, 4).exp().reshape(batch, count, SIDES, -1) * self.scales, corners)
        found = [
            logits.sigmoid().reshape(batch, count, len(CLASSES), -1),
            *((each.reshape(batch, count, -1, 2, there.shape[3]) + there).flatten(2, 3) for each in pairs),
        ]
        return torch.cat(found, 2).permute(0, 3, 1, 2).reshape(batch, -1, ROWS)


def centres(level: Tensor, stride: int) -> Tensor:
    """x and y of the centres of a map's cells, row by row, in pixels: (2, H * W)."""
    rows, columns = level.shape[2], level.shape[3]
    y = (torch.arange(rows, device=level.device, dtype=level.dtype) + 0.5) * stride
    x = (torch.arange(columns, device=level.device, dtype=level.dtype) + 0.5) * stride
    return torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)]).flatten(1)
