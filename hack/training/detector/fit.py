"""The training loop: steps, a running mean of the weights, checkpoints from which a run goes on as if never stopped."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training import checkpoints
from training.detector.batches import Batch, Crops, loader
from training.detector.loss import Loss, loss
from training.detector.tower import Tower
from training.detector.trunk import Features
from training.errors import CheckpointInvalid
from training.loop import KEEP_EVERY, Progress, follow, rate

WARM_UP = 150
COLD_STEPS = 300
"""Steps in which nearness decides which cells answer for an object."""
DECAY = 1e-3
CLIP = 20.0
PARTS = frozenset({"plan", "step", "tower", "mean", "optimizer"})
"""Of a checkpoint."""
UNUSABLE = "cannot be gone on with; delete it to begin anew"


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
        for group in self._optimizer.param_groups:
            group["lr"] = self.plan.rate * rate(self.step, self.plan.steps, WARM_UP)
        said = self.tower(Features.of(batch.features))
        found = loss(said, batch.wanted, batch.size, cold=self.step < COLD_STEPS)
        self._optimizer.zero_grad(set_to_none=True)
        found.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.tower.parameters(), CLIP)
        self._optimizer.step()
        self.step += 1
        follow(self.mean, self.tower, self.step)
        return found

    def save(self, path: Path) -> None:
        """Write a checkpoint, all of it or none."""
        state = {
            "plan": asdict(self.plan),
            "step": self.step,
            "tower": self.tower.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        checkpoints.write(path, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises CheckpointInvalid when it is of another plan or broken."""
        state = checkpoints.read(path, PARTS, UNUSABLE)
        if differences := self.plan.differences(state["plan"]):
            raise CheckpointInvalid(path, f"was made {', '.join(differences)}; give the same, or another --work")
        load_weights(self.tower, state["tower"], path)
        load_weights(self.mean, state["mean"], path)
        checkpoints.give(self._optimizer, state["optimizer"], path, UNUSABLE)
        self.step = state["step"]


def load_weights(tower: Tower, weights: Mapping[str, Any], path: Path) -> None:
    """Give a tower the weights of a checkpoint. Raises CheckpointInvalid when they are another tower's."""
    checkpoints.give(tower, weights, path, "its tower is not the one of this checkout")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Run.save` wrote. Raises CheckpointInvalid."""
    return checkpoints.read(path, PARTS, "holds no training of `hack/train detector`")


def fit(run: Run, crops: Crops, checkpoint: Path, workers: int, say: Callable[[str], None]) -> None:
    """Train to the end of the plan, from where the run is, with a checkpoint now and then."""
    batches: Iterator[Batch] = iter(loader(crops, range(run.step, run.plan.steps), workers))
    progress = Progress(run.step, run.plan.steps, run.plan.batch)
    for batch in batches:
        found = run.learn(batch)
        terms = {"scores": found.scores, "boxes": found.boxes, "corners": found.corners}
        if line := progress.after(run.step, {name: term.item() for name, term in terms.items()}):
            say(line)
        if run.step % KEEP_EVERY == 0 or run.step == run.plan.steps:
            run.save(checkpoint)
