"""The tower: faces and licence plates, small ones first, on the features of a frozen trunk.

Objects are found on four grids, of strides 4, 8, 16 and 32. A convolution at stride 4 costs four times what it costs at
8, and a face of 12 pixels covers nine cells of stride 4 and little of 8. So nothing is computed at stride 4 but one
convolution that reads the stem there and halves it; a cell of stride 8 answers for itself and for its four quarters,
which are the cells of stride 4. Activations are ReLUs: runtimes compute
them within the convolution, and batch normalisation folds into it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.trunk import Features, doubled

STRIDES = (4, 8, 16, 32)
CLASSES = ("face", "license-plate")
SIDES = 4
CORNERS = 8
ROWS = len(CLASSES) + SIDES + CORNERS
"""Per cell: a logit per class; log distances to left, top, right, bottom; a plate's corners. Distances in strides."""
QUARTERS = 4
CHANNELS = 80
STEM_CHANNELS = 24
BACKBONE_CHANNELS = (96, 192, 384)
NECK_CHANNELS = 96
EARLY_CHANNELS = 64
PRIOR = -4.6
"""The first logit of all cells: one in a hundred, so that training does not begin with thousands of false alarms."""
FIRST_SIDE = 0.7
MOMENTUM = 0.03
"""Of the batch normalisation: batches are small."""


class Said(NamedTuple):
    """What the tower says of N cells: row by row those of stride 8, each after its four quarters; then 16, then 32.

    logits: (B, N, classes). sides: (B, N, 4), log distances from the cell's centre, in strides. corners: (B, N, 8),
    x and y from the cell's centre, in strides: top left, top right, bottom right, bottom left.
    """

    logits: Tensor
    sides: Tensor
    corners: Tensor


class Pointwise(nn.Conv2d):
    """A 1x1 convolution; in training a matrix product, which torch does faster on channels-last pixels."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H, W)."""
        if not self.training:
            return super().forward(x)
        return functional.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def _layer(inward: int, outward: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    kind = Pointwise if kernel == 1 else nn.Conv2d
    return nn.Sequential(
        kind(inward, outward, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outward, momentum=MOMENTUM),
        nn.ReLU(inplace=True),
    )


class Separable(nn.Module):
    """A depthwise 5x5 and a pointwise layer beside a shortcut."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        """Keep the number of channels."""
        super().__init__()
        self.wide = _layer(channels, channels, kernel, groups=channels)
        self.mix = _layer(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        return x + self.mix(self.wide(x))  # type: ignore[no-any-return]


def _halved(channels: int) -> nn.Sequential:
    return nn.Sequential(_layer(channels, channels, 3, 2, channels), _layer(channels, channels))


class Tower(nn.Module):
    """The trunk's features to what is said of faces and plates."""

    def __init__(self, channels: int = CHANNELS) -> None:
        """Start with small random heads; see `PRIOR`."""
        super().__init__()
        self.early = _layer(STEM_CHANNELS, EARLY_CHANNELS, 3, 2)
        extra = (EARLY_CHANNELS, 0, 0)
        self.lateral = nn.ModuleList(
            _layer(a + b + NECK_CHANNELS, channels) for a, b in zip(extra, BACKBONE_CHANNELS, strict=True)
        )
        self.falling = nn.ModuleList(Separable(channels) for _ in BACKBONE_CHANNELS)
        self.halve = nn.ModuleList(_halved(channels) for _ in range(2))
        self.rising = nn.ModuleList(Separable(channels) for _ in range(2))
        self.last = nn.ModuleList(Separable(channels) for _ in BACKBONE_CHANNELS)
        self.answers = nn.ModuleList(Pointwise(channels, count * ROWS, 1) for count in (1 + QUARTERS, 1, 1))
        for answer in self.answers:
            _start(answer)

    def forward(self, features: Features) -> Said:
        """For N = cells of strides 4, 8, 16 and 32 of the input, whose sides are multiples of 32."""
        early = self.early(features.stem)
        levels = [
            layer(torch.cat([*([early] if stride == 0 else []), backbone, neck], 1))
            for stride, (layer, backbone, neck) in enumerate(
                zip(self.lateral, features.backbone, features.neck, strict=True)
            )
        ]
        p32 = self.falling[2](levels[2])
        p16 = self.falling[1](levels[1] + doubled(p32))
        p8 = self.falling[0](levels[0] + doubled(p16))
        q16 = self.rising[0](p16 + self.halve[0](p8))
        q32 = self.rising[1](p32 + self.halve[1](q16))
        eight, sixteen, thirtytwo = (
            answer(last(level)) for answer, last, level in zip(self.answers, self.last, (p8, q16, q32), strict=True)
        )
        cells = [
            each.flatten(2).transpose(1, 2).reshape(each.shape[0], -1, ROWS) for each in (eight, sixteen, thirtytwo)
        ]
        logits, sides, corners = torch.cat(cells, 1).split([len(CLASSES), SIDES, CORNERS], 2)
        return Said(logits, sides.clamp(-5, 4), corners)


def _start(answer: nn.Module) -> None:
    assert isinstance(answer, nn.Conv2d)
    assert answer.bias is not None
    nn.init.normal_(answer.weight, 0, 0.01)
    bias = torch.tensor([PRIOR] * len(CLASSES) + [FIRST_SIDE] * SIDES + [0.0] * CORNERS)
    with torch.no_grad():
        answer.bias.copy_(bias.repeat(answer.out_channels // ROWS))
