"""Training on ten made pictures: the loss falls, a run that was stopped ends as one that was not, plans do not mix."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from support.picodet import write_picodet
from training.command import INTERRUPTED, main
from training.detector.assign import assign, level_ranges, overlaps
from training.detector.fit import Plan, Run, read_checkpoint
from training.detector.loss import Wanted, generalised_iou, loss
from training.detector.network import grid
from training.detector.tower import Said, Tower
from training.detector.trunk import Features
from training.labels.records import LABELS, Object, Record, read_records, write_records

NOWHERE = torch.full((1, 8), float("nan"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder with ten pictures and a work folder with their labels and a trunk."""
    data, work = tmp_path / "data", tmp_path / "work"
    (data / "made").mkdir(parents=True)
    work.mkdir()
    records = []
    for number in range(10):
        draw = np.random.default_rng(number)
        pixels = draw.integers(0, 60, (120, 160, 3)).astype(np.uint8)
        x, y = (int(v) for v in draw.integers(10, 60, 2))
        cv2.rectangle(pixels, (x, y), (x + 39, y + 49), (200, 200, 250), -1)
        cv2.imwrite(str(data / "made" / f"{number}.png"), pixels)
        face = Object("face", (x, y, x + 40, y + 50), False, None, "hand")
        split = "val" if number == 9 else "train"
        records.append(Record("made", f"made/{number}.png", 160, 120, split, ("face", "license-plate"), (face,)))
    write_records(work / LABELS, records)
    write_picodet(work / "picodet.onnx")
    return data, work


def train(folders: tuple[Path, Path], steps: int, *more: str) -> int:
    data, work = folders
    flags = ["--data", str(data), "--work", str(work), "--trunk", str(work / "picodet.onnx")]
    small = ["--batch", "2", "--workers", "0", "--threads", "1"]  # threads that wait for each other take a core each
    return main(["detector", *flags, *small, "--steps", str(steps), *more])


def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = folders[1] / "detector" / "tower.pt"
    assert train(folders, 6) == 0
    whole = read_checkpoint(checkpoint)
    checkpoint.unlink()

    monkeypatch.setattr("training.detector.fit.KEEP_EVERY", 4)
    with monkeypatch.context() as patched:
        patched.setattr("training.detector.fit.Run.learn", _until(4))
        assert train(folders, 6) == INTERRUPTED
    assert read_checkpoint(checkpoint)["step"] == 4
    capsys.readouterr()
    assert train(folders, 6) == 0
    assert "going on at step 4" in capsys.readouterr().out
    parts = read_checkpoint(checkpoint)
    for name, tensor in whole["mean"].items():
        torch.testing.assert_close(parts["mean"][name], tensor, msg=name)


def _until(last: int) -> object:
    learn = Run.learn

    def stopping(run: Run, batch: object) -> object:
        if run.step == last:
            raise KeyboardInterrupt
        return learn(run, batch)  # type: ignore[arg-type]

    return stopping


def test_another_plan_does_not_go_on_with_this_one(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folders, 2) == 0
    capsys.readouterr()
    assert train(folders, 3) == 2
    assert "tower.pt: was made with --steps 2; give the same, or another --work" in capsys.readouterr().err


def test_other_labels_or_another_trunk_do_not_go_on_with_it(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = folders[1] / LABELS
    assert train(folders, 2) == 0
    before = labels.read_bytes()
    write_records(labels, read_records(labels)[1:])
    capsys.readouterr()
    assert train(folders, 2) == 2
    assert "tower.pt: was made with another labels.jsonl" in capsys.readouterr().err
    labels.write_bytes(before)
    write_picodet(folders[1] / "picodet.onnx", seed=1)
    assert train(folders, 2) == 2
    assert "tower.pt: was made with another --trunk" in capsys.readouterr().err


def test_a_checkpoint_goes_on_only_from_where_it_began(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folders, 2) == 0
    checkpoint, first = folders[1] / "detector" / "tower.pt", folders[1] / "first.pt"
    checkpoint.rename(first)
    assert train(folders, 2, "--start", str(first)) == 0
    capsys.readouterr()
    assert train(folders, 2, "--start", str(first)) == 0  # the same command
    assert "going on at step 2" in capsys.readouterr().out
    assert train(folders, 2) == 2
    assert "was made with another --start" in capsys.readouterr().err
    first.replace(checkpoint)
    write_other(first)
    assert train(folders, 2, "--start", str(first)) == 2
    assert "was made with another --start" in capsys.readouterr().err


def write_other(path: Path) -> None:
    Run(Tower(), Plan(1, 1, 1e-3, 0)).save(path)


def test_a_checkpoint_whose_plan_has_no_hashes_is_gone_on_with(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "detector" / "tower.pt"
    assert train(folders, 1) == 0
    state = read_checkpoint(path)
    for key in ("labels", "trunk", "start"):
        del state["plan"][key]
    torch.save(state, path)
    assert train(folders, 1) == 0


def test_nothing_to_learn_from_is_said(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    labels = folders[1] / LABELS
    write_records(labels, [each for each in read_records(labels) if each.split == "val"])
    assert train(folders, 2) == 2
    assert "labels.jsonl: has no picture of the split train" in capsys.readouterr().err


def test_a_broken_checkpoint_is_named(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[1] / "detector").mkdir()
    (folders[1] / "detector" / "tower.pt").write_bytes(b"PK\x03\x04 half of it")
    assert train(folders, 2) == 2
    assert "delete it" in capsys.readouterr().err


def test_without_labels_or_trunk_it_says_what_to_do(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (folders[1] / "picodet.onnx").unlink()
    assert train(folders, 2) == 2
    assert "--trunk" in capsys.readouterr().err
    (folders[1] / LABELS).unlink()
    assert train(folders, 2) == 2
    assert "hack/train label" in capsys.readouterr().err


def features(size: int) -> Features:
    draw = torch.Generator().manual_seed(0)
    return Features.of(
        tuple(
            torch.randn(1, channels, size // stride, size // stride, generator=draw)
            for channels, stride in ((24, 4), (96, 8), (192, 16), (384, 32), (96, 8), (96, 16), (96, 32))
        )
    )


def test_a_tower_learns_one_picture_by_heart() -> None:
    torch.manual_seed(0)
    tower, seen = Tower(), features(128)
    wanted = Wanted(
        torch.tensor([0, 1]),
        torch.tensor([[20.0, 20, 36, 40], [60.0, 80, 110, 96]]),
        torch.cat([NOWHERE, torch.tensor([[60.0, 82, 108, 80, 110, 94, 62, 96]])]),
        torch.tensor([False, False]),
    )
    optimizer = torch.optim.AdamW(tower.parameters(), 5e-3)
    totals = []
    for step in range(60):
        found = loss(tower(seen), [wanted], (128, 128), cold=step < 20)
        optimizer.zero_grad()
        found.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        totals.append(float(found.total.detach()))
    assert totals[-1] < 0.35 * totals[0]
    with torch.no_grad():
        said = tower(seen)
    centres, strides = grid(128, 128, said.logits)
    for label, box in zip(wanted.classes, wanted.boxes, strict=True):
        best = said.logits[0, :, label].argmax()
        distance = said.sides[0, best].exp() * strides[best]
        found_box = torch.cat([centres[best] - distance[:2], centres[best] + distance[2:]])
        assert overlaps(found_box[None], box[None]) > 0.7


def test_ignored_objects_are_neither_found_nor_missed() -> None:
    count = len(grid(64, 64, torch.zeros(1))[0])
    logits = torch.full((1, count, 2), -8.0)
    box = torch.tensor([[16.0, 16, 48, 48]])
    centres, _ = grid(64, 64, logits)
    inside = ((centres - 32).abs() < 16).all(1)
    logits[0, inside, 0] = 3.0  # sure of faces where one may be
    said = Said(logits, torch.zeros(1, count, 4), torch.zeros(1, count, 8))
    ignored = Wanted(torch.tensor([0]), box, NOWHERE, torch.tensor([True]))
    nothing = Wanted(
        torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), torch.zeros(0, 8), torch.zeros(0, dtype=torch.bool)
    )
    assert loss(said, [ignored], (64, 64), cold=False).scores < 1e-3
    assert loss(said, [nothing], (64, 64), cold=False).scores > 1


def test_objects_go_to_cells_of_their_size() -> None:
    centres, strides = grid(256, 256, torch.zeros(1))
    boxes = torch.cat([centres - strides, centres + strides], 1)
    wanted = torch.tensor([[10.0, 10, 22, 22], [100.0, 100, 200, 200]])
    found = assign(torch.full((len(centres), 2), 0.1), boxes, centres, strides, level_ranges(strides),
                   torch.tensor([0, 0]), wanted, cold=True)  # fmt: skip
    for number, allowed in ((0, {4.0, 8.0}), (1, {16.0, 32.0})):
        own = found.cells[found.objects == number]
        assert 1 <= len(own) <= 10
        assert set(strides[own, 0].tolist()) <= allowed
        low, high = wanted[number, :2], wanted[number, 2:]
        assert ((centres[own] > low) & (centres[own] < high)).all()
    assert (found.targets > 0).all()
    assert (found.targets <= 1).all()


def test_a_face_of_a_few_pixels_has_a_cell() -> None:
    centres, strides = grid(64, 64, torch.zeros(1))
    scores, nothing = torch.full((len(centres), 2), 0.1), torch.zeros(len(centres), 4)
    wanted = torch.tensor([[31.5, 31.5, 33, 33]])
    found = assign(scores, nothing, centres, strides, level_ranges(strides), torch.tensor([0]), wanted, cold=False)
    assert len(found.cells) >= 1


def test_generalised_iou_of_known_boxes() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.0, 0, 10, 10], [0.0, 0, 10, 10]])
    others = torch.tensor([[0.0, 0, 10, 10], [5.0, 0, 15, 10], [20.0, 0, 30, 10]])
    torch.testing.assert_close(generalised_iou(boxes, others), torch.tensor([1.0, 1 / 3, -1 / 3]), atol=1e-4, rtol=0)
