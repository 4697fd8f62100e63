"""CSP-PAN: where a 1x1 convolution reads an enlarged tensor, what it makes of the small one is enlarged."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.blocked.convolutions import Channels, picked
from training.detector.trunk import CrossStage, Trunk, doubled

CHANNELS = 96
HALVES = (range(CHANNELS), range(CHANNELS, 2 * CHANNELS))


class Raised(nn.Module):
    """A 1x1 layer of an enlarged tensor beside another: the first is enlarged after its convolution."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.coarse, self.fine = picked(conv, None, HALVES[0], bias=False), picked(conv, None, HALVES[1])

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, C, H / 2, W / 2) and (B, C, H, W) to (B, out, H, W)."""
        return functional.hardswish(self.fine(fine) + doubled(self.coarse(coarse)))


class Falling(nn.Module):
    """A cross-stage layer of an enlarged tensor and another."""

    def __init__(self, layer: CrossStage) -> None:
        super().__init__()
        self.short, self.main = Raised(layer.short.conv), Raised(layer.main[0].conv)
        self.deep, self.last = layer.main[1:], layer.last

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """As `Raised`."""
        return self.last(torch.cat([self.deep(self.main(coarse, fine)), self.short(coarse, fine)], 1))


class Neck(nn.Module):
    """The backbone's features to the neck's."""

    def __init__(self, trunk: Trunk, orders: tuple[Channels, ...]) -> None:
        """``orders``: the backbone's channels at strides 8, 16 and 32."""
        super().__init__()
        self.lateral = nn.ModuleList(
            picked(layer.conv, None, order) for layer, order in zip(trunk.lateral, orders, strict=True)
        )
        self.down_16, self.down_8 = Falling(trunk.down_16), Falling(trunk.down_8)
        self.up_16, self.up_32 = trunk.up_16, trunk.up_32
        self.halve_8, self.halve_16 = trunk.halve_8, trunk.halve_16
        self.far_lateral, self.far_neck = trunk.far_lateral, trunk.far_neck

    def forward(self, backbone: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of strides 8, 16, 32, 64."""
        l8, l16, l32 = (functional.hardswish(conv(c)) for conv, c in zip(self.lateral, backbone, strict=True))
        t16 = self.down_16(l32, l16)
        n8 = self.down_8(t16, l8)
        n16 = self.up_16(torch.cat([self.halve_8(n8), t16], 1))
        n32 = self.up_32(torch.cat([self.halve_16(n16), l32], 1))
        return n8, n16, n32, self.far_lateral(l32) + self.far_neck(n32)
