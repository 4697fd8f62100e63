"""The tower for faces and plates, which reads its three kinds of features without concatenating them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.blocked.convolutions import Channels, padded, picked
from training.detector.tower import EARLY_CHANNELS, NECK_CHANNELS, STEM_CHANNELS, Tower
from training.detector.trunk import doubled


class Lateral(nn.Module):
    """A 1x1 layer of a concatenation, as the sum of a convolution of each part."""

    def __init__(self, conv: nn.Conv2d, columns: Sequence[Channels]) -> None:
        """``columns``: of each part, which of the concatenation's channels its channels are."""
        super().__init__()
        self.convs = nn.ModuleList(picked(conv, None, part, bias=not number) for number, part in enumerate(columns))

    def forward(self, *parts: Tensor) -> Tensor:
        """Tensors of one size."""
        first, *others = (conv(part) for conv, part in zip(self.convs, parts, strict=True))
        return functional.relu(functools.reduce(torch.add, others, first))


class Pyramid(nn.Module):
    """The tower up to its answers."""

    def __init__(self, tower: Tower, orders: tuple[Channels, ...]) -> None:
        """``orders``: the backbone's channels at strides 8, 16 and 32."""
        super().__init__()
        self.early = picked(tower.early[0], None, padded(STEM_CHANNELS))
        self.lateral = nn.ModuleList(
            Lateral(layer[0], _columns(EARLY_CHANNELS if level == 0 else 0, order))
            for level, (layer, order) in enumerate(zip(tower.lateral, orders, strict=True))
        )
        self.falling, self.rising, self.last = tower.falling, tower.rising, tower.last
        self.halve = tower.halve

    def forward(self, stem: Tensor, backbone: tuple[Tensor, ...], neck: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Features for the answers at strides 8, 16 and 32."""
        early = functional.relu(self.early(stem))
        levels = [
            layer(*([early] if level == 0 else []), c, n)
            for level, (layer, c, n) in enumerate(zip(self.lateral, backbone, neck, strict=True))
        ]
        p32 = self.falling[2](levels[2])
        p16 = self.falling[1](levels[1] + doubled(p32))
        p8 = self.falling[0](levels[0] + doubled(p16))
        q16 = self.rising[0](p16 + self.halve[0](p8))
        q32 = self.rising[1](p32 + self.halve[1](q16))
        return tuple(last(level) for last, level in zip(self.last, (p8, q16, q32), strict=True))


def _columns(early: int, order: Channels) -> list[Channels]:
    """Of a lateral layer's input: so many channels of the early layer, then the backbone's, then the neck's."""
    backbone = [None if each is None else early + each for each in order]
    neck = range(early + len(order), early + len(order) + NECK_CHANNELS)
    return [*([range(early)] if early else []), backbone, neck]
