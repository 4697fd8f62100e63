"""ESNet's stages without shuffling: each block is given the channels that it works on, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector.blocked.convolutions import Channels, picked
from training.detector.blocked.shuffle import Plan, Portion, plan
from training.detector.trunk import Halving, Keeping, Squeeze, Swish


class Portioned(nn.Module):
    """A 1x1 layer whose output channels are portions for different readers."""

    def __init__(self, layer: Swish, portions: Sequence[Portion]) -> None:
        """A convolution for each portion that fills blocks, and one for all others, which is split."""
        super().__init__()
        rest = [portion for portion in portions if not portion.fills]
        self.groups = [*([portion] for portion in portions if portion.fills), *([rest] if rest else [])]
        self.convs = nn.ModuleList(
            picked(layer.conv, [number for portion in group for number in portion.channels]) for group in self.groups
        )

    def forward(self, x: Tensor) -> list[tuple[Portion, Tensor]]:
        """The portions with their tensors."""
        made = []
        for conv, group in zip(self.convs, self.groups, strict=True):
            tensor = functional.hardswish(conv(x))
            sizes = [len(portion.channels) for portion in group]
            made += list(zip(group, tensor.split(sizes, 1) if len(group) > 1 else [tensor], strict=True))
        return made


class Begun(nn.Module):
    """A stage's first block, which halves the size. ``inward``: what its input's channels are."""

    def __init__(self, block: Halving, inward: Channels, portions: Sequence[Portion]) -> None:
        super().__init__()
        self.left = nn.Sequential(picked(block.left[0], inward), picked(block.left[1].conv, None, inward))
        self.right = picked(block.right[0].conv, None, inward)
        self.narrow, self.squeeze, self.last = block.right[1], block.right[2], block.right[3].conv
        self.wide = block.mix[0].conv
        self.mix = Portioned(block.mix[1], portions)

    def forward(self, x: Tensor) -> list[tuple[Portion, Tensor]]:
        """(B, C, H, W) to portions of (B, ., H / 2, W / 2)."""
        left = functional.hardswish(self.left(x))
        narrow = self.narrow(functional.hardswish(self.right(x)))
        right = functional.hardswish(self.last(self.squeeze(narrow)))
        return self.mix(functional.hardswish(self.wide(torch.cat([left, right], 1))))


class Worked(nn.Module):
    """A block that keeps the size: from the half that it works on to its portions."""

    def __init__(self, block: Keeping, columns: Channels, portions: Sequence[Portion]) -> None:
        super().__init__()
        self.first = picked(block.first.conv, None, columns)
        self.wide: nn.Conv2d = block.wide
        self.squeeze: Squeeze = block.squeeze
        self.last = Portioned(block.last, portions)

    def forward(self, x: Tensor) -> list[tuple[Portion, Tensor]]:
        """(B, C / 2, H, W) to portions of (B, ., H, W), of C / 2 channels together."""
        narrow = functional.hardswish(self.first(x))
        return self.last(self.squeeze(torch.cat([narrow, self.wide(narrow)], 1)))


class Stage(nn.Module):
    """A stage. Its output's channels are those of the trained stage that `outward` names, in that order."""

    def __init__(self, blocks: nn.Sequential, inward: Channels) -> None:
        super().__init__()
        begin, *others = blocks
        self.plan: Plan = plan(begin.mix[1].conv.out_channels, len(others))
        self.begin = Begun(begin, inward, self.plan.made[0])
        self.blocks = nn.ModuleList(
            Worked(block, self.plan.columns(number), self.plan.made[number]) for number, block in enumerate(others, 1)
        )
        self.outward: Channels = self.plan.columns(len(others) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out, H / 2, W / 2)."""
        made = self.begin(x)
        for number, block in enumerate(self.blocks, 1):
            made += block(_read(made, number))
        return _read(made, len(self.blocks) + 1)


def _read(made: Sequence[tuple[Portion, Tensor]], reader: int) -> Tensor:
    """What a block reads, as `Plan.order` has it."""
    mine = [tensor for portion, tensor in made if portion.reader == reader]
    return torch.cat(mine, 1) if len(mine) > 1 else mine[0]
