"""Steps, their average, and checkpoints from which an interrupted round goes on with the same numbers.

A step's random numbers come from the seed, the round and the step, never from what went before: a run that was broken
off and taken up again draws what the unbroken one draws.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.errors import CheckpointInvalid
from training.outlines.augment import Crop, augmented
from training.outlines.losses import loss
from training.outlines.network import Layout, OutlineNetwork, read_checkpoint, shortened
from training.outlines.sources import Example
from training.outlines.windows import Pixels

RATE = 2e-3
ENCODER_RATE = 0.15
"""Of the rate: PicoDet's features are good already."""
DECAY = 1e-3
WARMUP = 100
LAST_RATE = 0.01
AVERAGE = 0.998
"""Decay of the running average, which is what is kept in the end."""
LARGEST_STEP = 5.0
KEEP_EVERY = 200
UNUSABLE = "cannot be gone on with; delete it to begin the round anew"
PARTS = frozenset(
    {"layout", "side", "round", "step", "steps", "seed", "start", "teacher", "network", "average", "optimiser"}
)
"""Of a checkpoint."""
NOBODY = "nobody"


@dataclass(frozen=True)
class Pool:
    """Examples of one kind: how many of each step's batch they are, and what each of their pixels counts."""

    name: str
    examples: Sequence[Example]
    count: int
    weight: float = 1.0


@dataclass(frozen=True)
class Round:
    """One schedule. number: which; steps: until the rate has come down; pools: what a batch is made of.

    start: fingerprint of the network that it begins with; teacher: who taught masks for it.
    """

    number: int
    steps: int
    pools: tuple[Pool, ...]
    grounds: Sequence[Pixels] = ()
    seed: int = 0
    rate: float = RATE
    start: str = ""
    teacher: str = NOBODY


@dataclass
class State:
    """A round under way."""

    network: OutlineNetwork
    average: OutlineNetwork
    optimiser: torch.optim.Optimizer
    step: int = 0


def started(network: OutlineNetwork, rate: float = RATE) -> State:
    """A round at its beginning, from this network."""
    network = network.to(memory_format=torch.channels_last).train()
    network.encoder.stem.requires_grad_(False)
    groups = [
        {"params": list(network.decoder.parameters()), "share": 1.0},
        {"params": [p for p in network.encoder.parameters() if p.requires_grad], "share": ENCODER_RATE},
    ]
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return State(network, average, torch.optim.AdamW(groups, lr=rate, weight_decay=DECAY))


def advance(state: State, plan: Round, shapes: Layout, path: Path, until: float = math.inf) -> bool:
    """Go on to the round's end, or to ``until`` on the clock of time.monotonic. Whether it came to the end.

    What was reached is kept in ``path``, at times and at the end of the call.
    """
    begun, first, shown = time.monotonic(), state.step, 0.0
    while state.step < plan.steps and time.monotonic() < until:
        value = stepped(state, plan)
        shown = value if state.step == first + 1 else 0.98 * shown + 0.02 * value
        if state.step % 50 == 0:
            pace = (state.step - first) / (time.monotonic() - begun)
            left = (plan.steps - state.step) / pace / 60
            print(
                f"round {plan.number} step {state.step}/{plan.steps} loss {shown:.4f}, {left:.0f} min left", flush=True
            )
        if state.step % KEEP_EVERY == 0:
            save(state, plan, shapes, path)
    save(state, plan, shapes, path)
    return state.step >= plan.steps


def stepped(state: State, plan: Round) -> float:
    """One step. The loss."""
    random = np.random.default_rng((plan.seed, plan.number, state.step))
    crops, masks, certain, weights = batch(plan, random, state.network.side)
    rate = plan.rate * _schedule(state.step, plan.steps)
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    value = loss(state.network(crops), masks, certain, weights)
    state.optimiser.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), LARGEST_STEP)
    state.optimiser.step()
    state.step += 1
    _follow(state.average, state.network, min(AVERAGE, (1 + state.step) / (10 + state.step)))
    return float(value.detach())


def batch(plan: Round, random: np.random.Generator, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Crops (B, 3, S, S), masks, certainty (B, S, S) and weights (B,) of a step."""
    others = [example for pool in plan.pools for example in pool.examples if example.certain is None]
    crops: list[Crop] = []
    weights: list[float] = []
    for pool in plan.pools:
        for index in random.integers(len(pool.examples), size=pool.count):
            crops.append(augmented(pool.examples[int(index)], others, plan.grounds, random, side))
            weights.append(pool.weight)
    pixels = torch.from_numpy(np.stack([crop.pixels for crop in crops])).permute(0, 3, 1, 2).float()
    masks = torch.from_numpy(np.stack([crop.mask for crop in crops]))
    certain = torch.from_numpy(np.stack([crop.certain for crop in crops])).float()
    return pixels.contiguous(memory_format=torch.channels_last), masks, certain, torch.tensor(weights)


def _schedule(step: int, steps: int) -> float:
    """Warm up, then half a cosine."""
    fall = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))
    return min(1.0, (step + 1) / min(WARMUP, max(steps // 10, 1))) * fall


def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def save(state: State, plan: Round, shapes: Layout, path: Path) -> None:
    """Keep all of a round's state, at once or not at all."""
    kept = {
        "layout": shapes, "side": state.network.side, "round": plan.number, "step": state.step, "steps": plan.steps,
        "seed": plan.seed, "start": plan.start, "teacher": plan.teacher, "network": state.network.state_dict(),
        "average": state.average.state_dict(), "optimiser": state.optimiser.state_dict(),
    }  # fmt: skip
    partial = path.with_name(path.name + ".partial")
    torch.save(kept, partial)
    partial.replace(path)


def restore(state: State, plan: Round, path: Path) -> State:
    """A state like this one as ``save`` kept it.

    Raises CheckpointInvalid when it belongs to another round or another network.
    """
    kept = read_checkpoint(path, PARTS, UNUSABLE)
    own = {"round": plan.number, "steps": plan.steps, "seed": plan.seed, "teacher": plan.teacher}
    for name, value in (own | {"side": state.network.side}).items():
        if kept[name] != value:
            problem = f"has {name} {kept[name]}, asked for {value}; delete it or ask for what it has"
            raise CheckpointInvalid(path, problem)
    if kept["start"] != plan.start:
        raise CheckpointInvalid(path, "began with other weights than are there now; delete it to begin the round anew")
    try:
        state.network.load_state_dict(kept["network"])
        state.average.load_state_dict(kept["average"])
        state.optimiser.load_state_dict(kept["optimiser"])
    except Exception as error:  # torch raises what it comes upon
        raise CheckpointInvalid(path, f"{UNUSABLE}: {shortened(error)}") from error
    state.step = kept["step"]
    return state
