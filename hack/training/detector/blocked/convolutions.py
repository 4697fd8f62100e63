"""Convolutions with other channels: some of them, in another order, or with zeros beside them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

BLOCK = 16
"""Channels that ONNX Runtime computes at a time with avx512; with avx2 it is 8, which divides it."""

Channels = Sequence[int | None]
"""Channels in an order; None is one of zeros."""


def padded(count: int) -> Channels:
    """All of them, and zeros up to a multiple of `BLOCK`."""
    return [*range(count), *[None] * (-count % BLOCK)]


def picked(
    conv: nn.Conv2d, rows: Channels | None = None, columns: Channels | None = None, *, bias: bool = True
) -> nn.Conv2d:
    """A copy with these output channels and these input channels, or all; a depthwise convolution has rows only.

    Raises ValueError for a convolution without a bias: its normalisation is not in it.
    """
    if conv.bias is None:
        raise ValueError("the convolution has no bias: fold the batch normalisation that follows into it")
    depthwise = conv.groups > 1
    if depthwise and columns is not None:
        raise ValueError("the input channels of a depthwise convolution are its output channels")
    with torch.no_grad():
        weight = conv.weight if rows is None else _taken(conv.weight, rows, 0)
        weight = weight if columns is None else _taken(weight, columns, 1)
        outward, inward = len(weight), weight.shape[1]
        groups = outward if depthwise else 1
        made = nn.Conv2d(
            inward * groups, outward, conv.kernel_size, conv.stride, conv.padding, groups=groups, bias=bias
        )
        made.weight.copy_(weight)
        if bias:
            assert made.bias is not None
            made.bias.copy_(conv.bias if rows is None else _taken(conv.bias, rows, 0))
    return made


def _taken(values: Tensor, order: Channels, axis: int) -> Tensor:
    found = values.index_select(axis, torch.tensor([0 if each is None else each for each in order]))
    there = torch.tensor([float(each is not None) for each in order])
    return found * there.view([-1 if each == axis else 1 for each in range(values.dim())])
