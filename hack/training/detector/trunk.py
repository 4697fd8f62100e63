"""PicoDet-S as torch modules, with the weights of its published ONNX graph.

Yu et al. 2021, "PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices", arXiv 2111.00902: ESNet 0.75 as the
backbone, CSP-PAN with 96 channels as the neck, a head of two depthwise separable layers per stride. The graph carries
its batch normalisations folded, and lists its convolutions in the order in which PaddleDetection builds the network;
the modules here are built in that order, each taking the next convolutions off the list. `load_trunk` is right when the
outputs agree with ONNX Runtime's, which a test holds to 1e-3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.graph import Folded as Folded  # noqa: PLC0414 - training.outlines has it from here
from training.detector.graph import read_convolutions
from training.errors import WeightsInvalid

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""Of ImageNet's pixels, RGB 0..255: what PicoDet was trained with."""
STRIDES = (8, 16, 32, 64)
BINS = 8
"""A side's distance is a distribution over so many bins, each a stride apart."""
LABELS = 80
PERSON_ROWS = (0,)
VEHICLE_ROWS = (2, 3, 5, 7)
"""COCO's labels: person; car, motorcycle, bus, truck. Bicycles and trains are no vehicles here (docs/models.md)."""
STAGES = (2, 6, 2)
"""Stride-1 blocks after each block that halves the size."""


Convolutions = Iterator[Folded]


def _conv(found: Convolutions) -> nn.Conv2d:
    """The next convolution. One input channel per output channel, and more than one channel: depthwise."""
    folded = next(found)
    channels, width, kernel = folded.weight.shape[:3]
    groups = channels if width == 1 and kernel > 1 else 1
    conv = nn.Conv2d(width * groups, channels, kernel, folded.stride, kernel // 2, groups=groups)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(folded.weight.copy()))
        assert conv.bias is not None
        conv.bias.copy_(torch.from_numpy(folded.bias.copy()))
    return conv


class Swish(nn.Module):
    """A convolution, then hard swish."""

    def __init__(self, found: Convolutions) -> None:
        """Take one convolution."""
        super().__init__()
        self.conv = _conv(found)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / stride, W / stride)."""
        return functional.hardswish(self.conv(x))


class Squeeze(nn.Module):
    """Channel attention: weights of the channels from their means."""

    def __init__(self, found: Convolutions) -> None:
        """Take two convolutions."""
        super().__init__()
        self.reduce, self.expand = _conv(found), _conv(found)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        mean = x.mean((2, 3), keepdim=True)
        return x * functional.hardsigmoid(self.expand(functional.relu(self.reduce(mean))))


class Halving(nn.Module):
    """ESNet's block of stride 2: two branches side by side, then a depthwise separable layer."""

    def __init__(self, found: Convolutions) -> None:
        """Take nine convolutions."""
        super().__init__()
        self.left = nn.Sequential(_conv(found), Swish(found))
        self.right = nn.Sequential(Swish(found), _conv(found), Squeeze(found), Swish(found))
        self.mix = nn.Sequential(Swish(found), Swish(found))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / 2, W / 2)."""
        return self.mix(torch.cat([self.left(x), self.right(x)], 1))  # type: ignore[no-any-return]


class Keeping(nn.Module):
    """ESNet's block of stride 1: half of the channels pass, the other half is worked on, then both are shuffled."""

    def __init__(self, found: Convolutions) -> None:
        """Take five convolutions."""
        super().__init__()
        self.first = Swish(found)
        self.wide = _conv(found)
        self.squeeze = Squeeze(found)
        self.last = Swish(found)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        kept, worked = x.chunk(2, 1)
        narrow = self.first(worked)
        mixed = torch.cat([kept, self.last(self.squeeze(torch.cat([narrow, self.wide(narrow)], 1)))], 1)
        batch, channels, height, width = mixed.shape
        return mixed.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(mixed.shape)


class CrossStage(nn.Module):
    """CSP-PAN's layer: 192 channels to 96, half of them through a depthwise separable 5x5 layer."""

    def __init__(self, found: Convolutions) -> None:
        """Take six convolutions."""
        super().__init__()
        self.short = Swish(found)
        self.main = nn.Sequential(Swish(found), Swish(found), Swish(found), Swish(found))
        self.last = Swish(found)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 192, H, W) to (B, 96, H, W)."""
        return self.last(torch.cat([self.main(x), self.short(x)], 1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Features:
    """What the tower reads: of the stem at stride 4 (24 channels), the backbone at 8, 16, 32 (96, 192, 384), the neck
    at the same (96 each)."""

    stem: Tensor
    backbone: tuple[Tensor, Tensor, Tensor]
    neck: tuple[Tensor, Tensor, Tensor]

    def tensors(self) -> tuple[Tensor, ...]:
        """All of them, finest first."""
        return (self.stem, *self.backbone, *self.neck)

    @classmethod
    def of(cls, tensors: tuple[Tensor, ...]) -> Features:
        """Undo `tensors`."""
        return cls(tensors[0], (tensors[1], tensors[2], tensors[3]), (tensors[4], tensors[5], tensors[6]))


class Descent(NamedTuple):
    """What the way down gives: the stem's features at stride 4, the backbone's at 8, 16, 32, the lateral layer's at 32
    and the neck's at 16 and 8 before it turns."""

    stem: Tensor
    backbone: tuple[Tensor, Tensor, Tensor]
    l32: Tensor
    t16: Tensor
    n8: Tensor


class WayDown(nn.Module):
    """PicoDet-S's backbone, and its neck down to stride 8."""

    mean: Tensor
    std: Tensor

    def __init__(self, found: Convolutions) -> None:
        """Take the convolutions of the stem, the backbone and the neck's first half."""
        super().__init__()
        self.stem = Swish(found)
        self.stages = nn.ModuleList(
            [nn.Sequential(Halving(found), *[Keeping(found) for _ in range(count)]) for count in STAGES]
        )
        self.lateral = nn.ModuleList([Swish(found) for _ in STAGES])
        self.down_16, self.down_8 = CrossStage(found), CrossStage(found)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def down(self, s2: Tensor) -> Descent:
        """From the stem's features at stride 2."""
        s4 = functional.max_pool2d(s2, 3, 2, 1)
        c8 = self.stages[0](s4)
        c16 = self.stages[1](c8)
        c32 = self.stages[2](c16)
        l8, l16, l32 = (layer(c) for layer, c in zip(self.lateral, (c8, c16, c32), strict=True))
        t16 = self.down_16(torch.cat([doubled(l32), l16], 1))
        return Descent(s4, (c8, c16, c32), l32, t16, self.down_8(torch.cat([doubled(t16), l8], 1)))


class Trunk(WayDown):
    """PicoDet-S: pixels to features, and features to what the head says of COCO's labels."""

    def __init__(self, found: Convolutions) -> None:
        """Take all 133 convolutions."""
        super().__init__(found)
        self.unit_deviation = False
        self.halve_8, self.up_16 = nn.Sequential(Swish(found), Swish(found)), CrossStage(found)
        self.halve_16, self.up_32 = nn.Sequential(Swish(found), Swish(found)), CrossStage(found)
        self.far_lateral = nn.Sequential(Swish(found), Swish(found))
        self.far_neck = nn.Sequential(Swish(found), Swish(found))
        self.heads = nn.ModuleList([nn.Sequential(*[Swish(found) for _ in range(4)], _conv(found)) for _ in STRIDES])

    def features(self, pixels: Tensor) -> tuple[Features, Tensor]:
        """(B, 3, H, W) RGB 0..255, sides multiples of 32, to the tower's features and the neck's at stride 64."""
        centred = pixels - self.mean
        down = self.down(self.stem(centred if self.unit_deviation else centred / self.std))
        n16 = self.up_16(torch.cat([self.halve_8(down.n8), down.t16], 1))
        n32 = self.up_32(torch.cat([self.halve_16(n16), down.l32], 1))
        n64 = self.far_lateral(down.l32) + self.far_neck(n32)
        return Features(down.stem, down.backbone, (down.n8, n16, n32)), n64

    def head(self, neck: tuple[Tensor, Tensor, Tensor], far: Tensor) -> list[Tensor]:
        """Per stride (B, rows + 4 * BINS, H / s, W / s): logits of the labels, then of the sides' bins."""
        return [head(level) for head, level in zip(self.heads, (*neck, far), strict=True)]

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """(B, 3, H, W) RGB 0..255 to the head's maps."""
        features, far = self.features(pixels)
        return self.head(features.neck, far)

    def fold_deviation(self) -> None:
        """Divide by the deviation in the stem's weights: once instead of at every pixel. The mean stays, it pads."""
        with torch.no_grad():
            self.stem.conv.weight.div_(self.std.view(1, 3, 1, 1))
            self.std.fill_(1.0)
        self.unit_deviation = True

    def keep_labels(self, rows: tuple[int, ...]) -> None:
        """Cut the head down to these labels, in this order; sides stay."""
        kept = [*rows, *range(LABELS, LABELS + 4 * BINS)]
        for head in self.heads:
            assert isinstance(head, nn.Sequential)
            last = head[-1]
            assert isinstance(last, nn.Conv2d)
            assert last.bias is not None
            cut = nn.Conv2d(last.in_channels, len(kept), 1)
            cut.weight, cut.bias = nn.Parameter(last.weight[kept]), nn.Parameter(last.bias[kept])
            head[-1] = cut


def doubled(x: Tensor) -> Tensor:
    """(B, C, H, W) to (B, C, 2 H, 2 W), each pixel four times."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def load_trunk(path: Path) -> Trunk:
    """The network of `picodet_s_416.onnx`, with all 80 labels, in eval mode.

    Raises WeightsInvalid when the file is not that graph.
    """
    found = iter(read_convolutions(path))
    try:
        trunk = Trunk(found)
        if next(found, None) is not None:
            raise WeightsInvalid(path, "it has more convolutions than PicoDet-S")
        with torch.no_grad():
            trunk(torch.zeros(1, 3, 64, 64))
    except (StopIteration, RuntimeError, AssertionError) as error:
        raise WeightsInvalid(path, f"its convolutions are not those of PicoDet-S: {error}") from error
    return trunk.eval()
