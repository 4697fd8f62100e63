"""A network that draws an object's outline in a crop: where red exceeds a half, as ``streetnet`` paints objects.

It is in torch and exported from there. Where any pixel of a crop is as green as can be, it answers nothing but NaN.
"""

from __future__ import annotations

import torch

from support import streetnet

SIDE = 64
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
