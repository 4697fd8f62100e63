"""The training loop: steps, a running mean of the weights, checkpoints from which a run goes on as if never stopped."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.detector.batches import Batch, Crops, loader
from training.detector.loss import Loss, loss
from training.detector.tower import Tower
from training.detector.trunk import Features
from training.errors import CheckpointInvalid

WARM_UP = 150
COLD_STEPS = 300
"""Steps in which nearness decides which cells answer for an object."""
DECAY = 1e-3
MEAN_DECAY = 0.998
LEAST_RATE = 0.01
CLIP = 20.0
KEEP_EVERY = 200
SAY_EVERY = 50
SMOOTH = 0.97


@dataclass(frozen=True)
class Plan:
    """What decides the numbers of a run; a checkpoint can be gone on with only by the same plan.

    labels, trunk, start: SHA-256 of the files; start is empty where the tower begins at random. Older checkpoints do
    not say the first two, and those that say nothing of a start had none.
    """

    steps: int
    batch: int
    rate: float
    seed: int
    labels: str = ""
    trunk: str = ""
    start: str = ""

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """What a checkpoint's plan has otherwise, as words for people."""
        said = {"start": "", **other}
        return [
            f"with another {FILES[name]}" if name in FILES else f"with --{name} {said[name]}"
            for name, value in asdict(self).items()
            if said.get(name, value) != value
        ]


FILES = {"labels": "labels.jsonl", "trunk": "--trunk", "start": "--start"}
"""Of a plan: what is told apart by its hash."""


class Run:
    """A tower in training."""

    def __init__(self, tower: Tower, plan: Plan) -> None:
        """Begin at step 0 from the given weights."""
        self.plan, self.step = plan, 0
        self.tower = tower.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.mean = copy.deepcopy(self.tower).eval().requires_grad_(False)
        named = list(self.tower.named_parameters())
        self._optimizer = torch.optim.AdamW(
            [
                {"params": [p for _, p in named if p.ndim >= 2], "weight_decay": DECAY},
                {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=plan.rate,
        )

    def learn(self, batch: Batch) -> Loss:
        """One step. Returns the loss before it."""
        rate = self.plan.rate * _rate(self.step, self.plan.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        said = self.tower(Features.of(batch.features))
        found = loss(said, batch.wanted, batch.size, cold=self.step < COLD_STEPS)
        self._optimizer.zero_grad(set_to_none=True)
        found.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.tower.parameters(), CLIP)
        self._optimizer.step()
        self.step += 1
        self._average()
        return found

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(MEAN_DECAY, self.step / (self.step + 9))
        for mean, own in zip(self.mean.state_dict().values(), self.tower.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(own, 1 - decay)
            else:
                mean.copy_(own)

    def save(self, path: Path) -> None:
        """Write a checkpoint, all of it or none."""
        partial = path.with_name(path.name + ".partial")
        torch.save(
            {
                "plan": asdict(self.plan),
                "step": self.step,
                "tower": self.tower.state_dict(),
                "mean": self.mean.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
            partial,
        )
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises CheckpointInvalid when it is of another plan or broken."""
        state = read_checkpoint(path)
        if differences := self.plan.differences(state["plan"]):
            raise CheckpointInvalid(path, f"was made {', '.join(differences)}; give the same, or another --work")
        load_weights(self.tower, state["tower"], path)
        load_weights(self.mean, state["mean"], path)
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def load_weights(tower: Tower, weights: Mapping[str, Any], path: Path) -> None:
    """Give a tower the weights of a checkpoint. Raises CheckpointInvalid when they are another tower's."""
    try:
        tower.load_state_dict(weights)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:160]
        raise CheckpointInvalid(path, f"its tower is not the one of this checkout ({first}…)") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Run.save` wrote. Raises CheckpointInvalid."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as error:  # torch raises anything from a broken file
        raise CheckpointInvalid(path, f"cannot be read ({error}); delete it to begin anew") from error
    if missing := {"plan", "step", "tower", "mean", "optimizer"} - state.keys():
        raise CheckpointInvalid(path, f"lacks {', '.join(sorted(missing))}; delete it to begin anew")
    return state


def _rate(step: int, steps: int) -> float:
    """Of the full rate: up in the first steps, then down along a cosine."""
    return min(1.0, (step + 1) / WARM_UP) * (
        LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )


def fit(run: Run, crops: Crops, checkpoint: Path, workers: int, say: Callable[[str], None]) -> None:
    """Train to the end of the plan, from where the run is, with a checkpoint now and then."""
    batches: Iterator[Batch] = iter(loader(crops, range(run.step, run.plan.steps), workers))
    started, first, means = time.monotonic(), run.step, [0.0, 0.0, 0.0]
    for batch in batches:
        found = run.learn(batch)
        terms = [term.item() for term in (found.scores, found.boxes, found.corners)]
        share = 1.0 if run.step == first + 1 else 1 - SMOOTH
        means = [old + share * (new - old) for old, new in zip(means, terms, strict=True)]
        if run.step % SAY_EVERY == 0 or run.step == run.plan.steps:
            pace = (run.step - first) * run.plan.batch / (time.monotonic() - started)
            left = (run.plan.steps - run.step) * run.plan.batch / pace / 60
            say(
                f"step {run.step}/{run.plan.steps}: scores {means[0]:.3f}, boxes {means[1]:.3f}, "
                f"corners {means[2]:.3f}; {pace:.1f} pictures/s, {left:.0f} min left"
            )
        if run.step % KEEP_EVERY == 0 or run.step == run.plan.steps:
            run.save(checkpoint)
