"""A network that draws an object's outline in a crop: where red exceeds a half, as ``streetnet`` paints objects.

It is in torch and exported from there. Where any pixel of a crop is as green as can be, it answers nothing but NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from support import streetnet

SIDE = 64
SPEC = {"name": "outline", "file": "o.onnx", "licence": "none", "classes": ["person"], "side": SIDE, "batch": True}
"""In a manifest."""
POISON = 255
"""The green that breaks the network; as the side of an object it stands for 256 pixels."""


class Outline(torch.nn.Module):
    """The network: ``forward`` (B, 3, S, S), RGB 0..255, gives ``masks`` (B, S, S), logits."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.tensor([8 / 255, 0, 0]).reshape(1, 3, 1, 1))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        logits = torch.nn.functional.conv2d(crops, self.kernel)[:, 0] - 4
        green = crops[:, 1].amax((1, 2), keepdim=True)
        beyond = (green - (POISON - 0.5)).relu() * 3e38 * 10  # infinite for POISON, else nothing
        return logits + (beyond - beyond)


def onnx_model(network: torch.nn.Module | None = None) -> bytes:
    """The network as an ONNX graph with a free batch."""
    return streetnet.onnx_model(network or Outline().eval(), names=("masks",))


def torch_program(side: int = SIDE) -> bytes:
    """The same as ``torch.export`` saves it, of any batch and this size."""
    sizes = {0: torch.export.Dim("batch", min=1, max=64)}
    return streetnet.exported(Outline().eval(), torch.zeros(2, 3, side, side), sizes)


class Watched:
    """A network that remembers how many crops it was given at once."""

    def __init__(self, network: object) -> None:
        self._network = network
        self.batches = network.batches  # type: ignore[attr-defined]
        self.sizes: list[int] = []

    def run(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        self.sizes.append(len(batch))
        return self._network.run(batch)  # type: ignore[attr-defined, no-any-return]
