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
from torch import Tensor

from training import checkpoints
from training.errors import CheckpointInvalid
from training.loop import KEEP_EVERY, Progress, follow, rate
from training.outlines.augment import Crop, augmented
from training.outlines.losses import loss
from training.outlines.network import Layout, OutlineNetwork
from training.outlines.sources import Example
from training.outlines.windows import Pixels

RATE = 2e-3
ENCODER_RATE = 0.15
"""Of the rate: PicoDet's features are good already."""
DECAY = 1e-3
WARM_UP = 100
LARGEST_STEP = 5.0
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
    progress = Progress(state.step, plan.steps, sum(pool.count for pool in plan.pools))
    while state.step < plan.steps and time.monotonic() < until:
        value = stepped(state, plan)
        if line := progress.after(state.step, {"loss": value}):
            print(f"round {plan.number} {line}", flush=True)
        if state.step % KEEP_EVERY == 0:
            save(state, plan, shapes, path)
    save(state, plan, shapes, path)
    return state.step >= plan.steps


def stepped(state: State, plan: Round) -> float:
    """One step. The loss."""
    random = np.random.default_rng((plan.seed, plan.number, state.step))
    crops, masks, certain, weights = batch(plan, random, state.network.side)
    full = plan.rate * rate(state.step, plan.steps, warm_up(plan.steps))
    for group in state.optimiser.param_groups:
        group["lr"] = full * group["share"]
    value = loss(state.network(crops), masks, certain, weights)
    state.optimiser.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), LARGEST_STEP)
    state.optimiser.step()
    state.step += 1
    follow(state.average, state.network, state.step + 1)  # the first weights count as a step's
    return float(value.detach())


def warm_up(steps: int) -> int:
    """Steps until a round of so many has its full rate: of a short one the tenth part."""
    return min(WARM_UP, max(steps // 10, 1))


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


def save(state: State, plan: Round, shapes: Layout, path: Path) -> None:
    """Keep all of a round's state, at once or not at all."""
    kept = {
        "layout": shapes, "side": state.network.side, "round": plan.number, "step": state.step, "steps": plan.steps,
        "seed": plan.seed, "start": plan.start, "teacher": plan.teacher, "network": state.network.state_dict(),
        "average": state.average.state_dict(), "optimiser": state.optimiser.state_dict(),
    }  # fmt: skip
    checkpoints.write(path, kept)


def restore(state: State, plan: Round, path: Path) -> State:
    """A state like this one as ``save`` kept it.

    Raises CheckpointInvalid when it belongs to another round or another network.
    """
    kept = checkpoints.read(path, PARTS, UNUSABLE)
    own = {"round": plan.number, "steps": plan.steps, "seed": plan.seed, "teacher": plan.teacher}
    for name, value in (own | {"side": state.network.side}).items():
        if kept[name] != value:
            problem = f"has {name} {kept[name]}, asked for {value}; delete it or ask for what it has"
            raise CheckpointInvalid(path, problem)
    if kept["start"] != plan.start:
        raise CheckpointInvalid(path, "began with other weights than are there now; delete it to begin the round anew")
    for owner, part in ((state.network, "network"), (state.average, "average"), (state.optimiser, "optimiser")):
        checkpoints.give(owner, kept[part], path, UNUSABLE)
    state.step = kept["step"]
    return state
