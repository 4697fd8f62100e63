"""What the loops of both trainings share: the rate of a step, the running mean of the weights, what is said meanwhile.

A checkpoint that was begun with these numbers goes on with them: other ones would bend its curve where it was stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from torch import nn

LEAST_RATE = 0.01
"""Of the full rate, at the end."""
MEAN_DECAY = 0.998
"""Of the running mean, which is what is shipped."""
YOUNG = 9
"""Steps by which the mean is younger than it says: at first it forgets faster, or it would be of the first weights."""
KEEP_EVERY = 200
"""Steps from checkpoint to checkpoint."""
SAY_EVERY = 50
SMOOTH = 0.97
"""Decay of the losses that are shown."""


def rate(step: int, steps: int, warm_up: int) -> float:
    """Of the full rate, for the step after ``step``: up in the first steps, then down along half a cosine."""
    fall = LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warm_up) * fall


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, steps: int) -> None:
    """Take the network's weights, after so many steps, into their running mean."""
    decay = min(MEAN_DECAY, steps / (steps + YOUNG))
    for kept, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


class Progress:
    """How a training is getting on: smoothed losses, pace, and how long it will still take."""

    def __init__(self, step: int, steps: int, pictures: int) -> None:
        """Begin now, with ``step`` done of so many of so many pictures each."""
        self._first, self._steps, self._pictures = step, steps, pictures
        self._began = time.monotonic()
        self._means: dict[str, float] = {}

    def after(self, step: int, losses: Mapping[str, float]) -> str | None:
        """Count a step's losses by name. A line for people, if it is time for one."""
        for name, new in losses.items():
            old = self._means.get(name, new)
            self._means[name] = old + (1 - SMOOTH) * (new - old)
        if step % SAY_EVERY and step != self._steps:
            return None
        pace = (step - self._first) / (time.monotonic() - self._began)
        shown = ", ".join(f"{name} {mean:.3f}" for name, mean in self._means.items())
        left = (self._steps - step) / pace / 60
        return f"step {step}/{self._steps}: {shown}; {pace * self._pictures:.1f} pictures/s, {left:.0f} min left"
