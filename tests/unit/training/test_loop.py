"""What a checkpoint on somebody's disk counts on: the curve of the rate, the mean, and the names of what is kept.

The numbers here are those of the first trainings. A change of them would bend a training that is gone on with.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from support.picodet import write_picodet
from training.detector import fit
from training.detector.batches import Batch
from training.detector.fit import Plan, Run
from training.detector.loss import Wanted
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import CheckpointInvalid
from training.loop import Progress, follow, rate
from training.outlines import trainer
from training.outlines.network import OutlineNetwork, layout, taken
from training.outlines.trainer import Round, restore, save, started

PLAN = Plan(7, 1, 1e-3, 0, labels="1a", trunk="2b", start="3c")


@pytest.mark.parametrize(
    ("step", "steps", "expected"),
    [
        (0, 7500, 0.006666666666666667),
        (149, 7500, 0.999036206538548),
        (150, 7500, 0.9990232305719944),
        (3749, 7500, 0.5052073451090735),
        (7499, 7500, 0.010000043426258739),
        (5, 6, 0.0030526970050681135),
    ],
)
def test_the_rate_of_the_tower(step: int, steps: int, expected: float) -> None:
    assert rate(step, steps, fit.WARM_UP) == expected


@pytest.mark.parametrize(
    ("step", "steps", "expected"),
    [
        (0, 2400, 0.01),
        (99, 2400, 0.9958493608005885),
        (2399, 2400, 0.01000042408450357),
        (0, 6, 1.0),
        (1, 30, 0.6648588921381968),
        (3, 30, 0.9757729755661011),
    ],
)
def test_the_rate_of_outlines(step: int, steps: int, expected: float) -> None:
    assert rate(step, steps, trainer.warm_up(steps)) == expected


@pytest.mark.parametrize(("steps", "kept"), [(1, 0.1), (9, 0.5), (4491, 0.998), (100_000, 0.998)])
def test_the_mean_forgets_faster_while_it_is_young(steps: int, kept: float) -> None:
    mean, network = nn.BatchNorm2d(1).double(), nn.BatchNorm2d(1).double()
    nn.init.constant_(mean.weight, 1.0)
    nn.init.constant_(network.weight, 0.0)
    nn.init.constant_(network.num_batches_tracked, 7)
    follow(mean, network, steps)
    assert mean.weight.item() == pytest.approx(kept)
    assert int(mean.num_batches_tracked or 0) == 7


def test_losses_are_smoothed_and_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 25.0, 35.0])
    monkeypatch.setattr("training.loop.time.monotonic", lambda: next(clock))
    progress = Progress(100, 170, 8)
    lines = {step: progress.after(step, {"loss": 1.0 if step < 150 else 2.0}) for step in range(101, 171)}
    assert [step for step, line in lines.items() if line] == [150, 170]
    assert lines[150] == "step 150/170: loss 1.030; 16.0 pictures/s, 0 min left"


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(0)
    channels = ((24, 4), (96, 8), (192, 16), (384, 32), (96, 8), (96, 16), (96, 32))
    features = tuple(torch.randn(1, count, 64 // stride, 64 // stride, generator=draw) for count, stride in channels)
    face = Wanted(
        torch.tensor([0]), torch.tensor([[10.0, 12, 30, 36]]), torch.full((1, 8), torch.nan), torch.tensor([False])
    )
    return Batch((64, 64), features, [face])


def fresh() -> Run:
    torch.manual_seed(0)
    return Run(Tower(), PLAN)


def test_a_tower_goes_on_from_the_checkpoint_of_an_older_checkout(batch: Batch, tmp_path: Path) -> None:
    whole = fresh()
    for _ in range(2):
        whole.learn(batch)
    whole.save(tmp_path / "kept.pt")
    kept = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert set(kept) == {"plan", "step", "tower", "mean", "optimizer"}
    assert kept["plan"] == {
        "steps": 7, "batch": 1, "rate": 1e-3, "seed": 0, "labels": "1a", "trunk": "2b", "start": "3c"
    }  # fmt: skip
    older = {name: kept[name] for name in ("optimizer", "mean", "step", "tower", "plan")}
    torch.save(older, tmp_path / "older.pt")
    resumed = fresh()
    resumed.load(tmp_path / "older.pt")
    for run in (whole, resumed):
        run.learn(batch)
    whole.save(tmp_path / "whole.pt")
    resumed.save(tmp_path / "resumed.pt")
    one, other = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "resumed"))
    assert one["step"] == other["step"] == 3
    assert one["optimizer"]["param_groups"][0]["lr"] == 1e-3 * rate(2, 7, 150)
    for part in ("tower", "mean"):
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])


def test_a_tower_refuses_what_is_another_trainings(tmp_path: Path) -> None:
    fresh().save(tmp_path / "tower.pt")
    kept = torch.load(tmp_path / "tower.pt", weights_only=True)
    for changed, problem in (
        ({"optimizer": {"state": {}, "param_groups": []}}, "cannot be gone on with; delete it to begin anew: loaded"),
        ({"tower": OrderedDict()}, "its tower is not the one of this checkout: Error.* Missing key"),
    ):
        torch.save(kept | changed, tmp_path / "tower.pt")
        with pytest.raises(CheckpointInvalid, match=problem) as refused:
            fresh().load(tmp_path / "tower.pt")
        assert "\n" not in str(refused.value)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh().save(tmp_path / "tower.pt")
    before = (tmp_path / "tower.pt").read_bytes()

    def broken(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("training.checkpoints.torch.save", broken)
    with pytest.raises(KeyboardInterrupt):
        fresh().save(tmp_path / "tower.pt")
    assert (tmp_path / "tower.pt").read_bytes() == before


def test_outlines_keep_what_they_kept(tmp_path: Path) -> None:
    write_picodet(tmp_path / "picodet.onnx")
    found = taken(load_trunk(tmp_path / "picodet.onnx"))
    plan = Round(2, 9, (), seed=4, start="5d", teacher="teacher --large")
    save(started(OutlineNetwork(iter(found), 32)), plan, layout(found), tmp_path / "round.pt")
    kept = torch.load(tmp_path / "round.pt", weights_only=True)
    own = {"side": 32, "round": 2, "step": 0, "steps": 9, "seed": 4, "start": "5d", "teacher": "teacher --large"}
    assert {name: kept[name] for name in own} == own
    assert set(kept) - set(own) == {"layout", "network", "average", "optimiser"}
    kept["step"] = 3
    torch.save(dict(reversed(kept.items())), tmp_path / "round.pt")
    assert restore(started(OutlineNetwork(iter(found), 32)), plan, tmp_path / "round.pt").step == 3
