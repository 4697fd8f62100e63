"""The network: PicoDet-S down to its neck at stride 8, then a decoder that goes back up to half of the crop's side.

PicoDet-S has seen COCO's 118 000 pictures; the masks that may be used here are under two thousand. So everything that
knows what a person or a car looks like is taken from it, and only the decoder starts from nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training import checkpoints
from training.detector.trunk import Convolutions, Folded, Trunk, WayDown
from training.errors import CheckpointInvalid

Layout = Sequence[tuple[tuple[int, ...], int]]
"""Of each convolution that is taken from PicoDet: the shape of its weight and its stride."""


class Encoder(WayDown):
    """PicoDet-S without what it needs for large objects and boxes."""

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, S, S) RGB 0..255 to strides 2 (24 channels), 4 (24), 8 (backbone, 96), 8 and 16 (neck, 96)."""
        s2 = self.stem((crops - self.mean) / self.std)
        down = self.down(s2)
        return s2, down.stem, down.backbone[0], down.n8, down.t16


def separable(channels: int, out: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """A depthwise convolution and one across the channels, each normalised."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, 1, padding, dilation, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, out, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


class Decoder(nn.Module):
    """Features to logits. Where in the window a cell lies is learnt as maps that are added: the window is the box's."""

    def __init__(self, side: int) -> None:
        """For crops of this side."""
        super().__init__()
        cells = side // 8
        self.place_8 = nn.Parameter(torch.zeros(1, 96, cells, cells))
        self.place_4 = nn.Parameter(torch.zeros(1, 64, cells, cells))
        self.place_2 = nn.Parameter(torch.zeros(1, 32, cells, cells))
        self.context = nn.ModuleList([separable(96, 96, 5), separable(96, 96, 3, 2), separable(96, 96, 5)])
        self.far = nn.Conv2d(96, 96, 1)
        self.skip_8 = nn.Conv2d(96, 96, 1)
        self.fit_8 = separable(96, 64)
        self.skip_4 = nn.Sequential(separable(24, 48), nn.Conv2d(48, 64, 1))
        self.fit_4 = nn.Sequential(separable(64, 64, 5), separable(64, 32))
        self.skip_2 = nn.Sequential(separable(24, 24), nn.Conv2d(24, 32, 1))
        self.fit_2 = nn.Sequential(separable(32, 32, 5), separable(32, 24))
        self.last = nn.Conv2d(24, 1, 1)

    def forward(self, features: tuple[Tensor, Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """What the encoder gives to (B, 1, S / 2, S / 2) logits."""
        s2, s4, c8, n8, t16 = features
        y = n8 + self.skip_8(c8) + _at(self.place_8, n8)
        y = y + self.far(t16.mean((2, 3), keepdim=True))
        for layer in self.context:
            y = y + layer(y)
        y = self.fit_4(_smoothly(self.fit_8(y)) + self.skip_4(s4) + _at(self.place_4, s4))
        return self.last(self.fit_2(_smoothly(y) + self.skip_2(s2) + _at(self.place_2, s2)))


class OutlineNetwork(nn.Module):
    """Crops (B, 3, S, S), RGB 0..255, to logits (B, S, S) of being the object whose box the window was grown from."""

    def __init__(self, found: Convolutions, side: int) -> None:
        """Take the encoder's convolutions; ``side``: S, a multiple of 32."""
        super().__init__()
        self.side = side
        self.encoder = Encoder(found)
        self.decoder = Decoder(side)

    def forward(self, crops: Tensor) -> Tensor:
        """See the class."""
        return _smoothly(self.decoder(self.encoder(crops)))[:, 0]


def _smoothly(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _at(place: Tensor, features: Tensor) -> Tensor:
    """The map at the features' size."""
    if place.shape[2:] == features.shape[2:]:
        return place
    return functional.interpolate(place, size=features.shape[2:], mode="bilinear", align_corners=False)


def taken(trunk: Trunk) -> list[Folded]:
    """The convolutions that the encoder takes, in the order in which it takes them."""
    parts = (trunk.stem, trunk.stages, trunk.lateral, trunk.down_16, trunk.down_8)
    found = [module for part in parts for module in part.modules() if isinstance(module, nn.Conv2d)]
    folded = []
    for conv in found:
        assert conv.bias is not None
        folded.append(Folded(conv.weight.detach().numpy(), conv.bias.detach().numpy(), conv.stride[0]))
    return folded


def layout(convolutions: Sequence[Folded]) -> Layout:
    """What `blank` needs to make a network of the same shape."""
    return [(tuple(folded.weight.shape), folded.stride) for folded in convolutions]


def blank(shapes: Layout, side: int) -> OutlineNetwork:
    """A network of this shape whose encoder has learnt nothing."""
    convolutions = [
        Folded(np.zeros(shape, np.float32), np.zeros(shape[0], np.float32), stride) for shape, stride in shapes
    ]
    return OutlineNetwork(iter(convolutions), side)


def load_network(checkpoint: Path) -> OutlineNetwork:
    """The averaged network of a checkpoint, in eval mode. Raises CheckpointInvalid."""
    problem = "holds no outline network"
    kept = checkpoints.read(checkpoint, {"layout", "side", "average"}, problem)
    try:
        network = blank(kept["layout"], kept["side"])
        network.load_state_dict(kept["average"])
    except Exception as error:  # shapes that are none raise anything
        raise CheckpointInvalid(checkpoint, f"{problem}: {checkpoints.shortened(error)}") from error
    return network.eval()


def fingerprint(network: OutlineNetwork) -> str:
    """SHA-256 of everything that the network has learnt, in hexadecimal digits."""
    found = hashlib.sha256()
    for name, values in network.state_dict().items():
        found.update(name.encode())
        found.update(values.numpy(force=True).tobytes())
    return found.hexdigest()
