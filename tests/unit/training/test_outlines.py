"""The trainer of outlines, on ellipses drawn on noise: it learns them, and goes on as if never stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from evaluation.outlines import summary
from support.picodet import write_picodet
from training import command
from training.detector.trunk import load_trunk
from training.errors import CheckpointInvalid, SetInvalid
from training.outlines import step
from training.outlines.measure import Labelled, crops_of, logits, scores
from training.outlines.network import OutlineNetwork, layout, load_network, taken
from training.outlines.sources import Example, read_examples, read_sources
from training.outlines.trainer import Pool, Round, advance, restore, save, started

Array = np.ndarray[Any, Any]
WIDTH, HEIGHT = 160, 120
MASKS = ("coco_tiny", "ccp_street")


def scene(draw: np.random.Generator) -> tuple[Array, dict[str, Any]]:
    """Noise with an ellipse of another colour, and the ellipse as a set labels it."""
    pixels = draw.integers(0, 90, (HEIGHT, WIDTH, 3), np.uint8)
    centre = int(draw.integers(60, 100)), int(draw.integers(50, 70))
    axes = int(draw.integers(20, 50)), int(draw.integers(20, 40))
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    pixels[mask > 0] = draw.integers(150, 255, (int(mask.sum()), 3), np.uint8)
    points = cv2.ellipse2Poly(centre, axes, 0, 0, 360, 10).astype(float).reshape(-1).tolist()
    box = [centre[0] - axes[0], centre[1] - axes[1], centre[0] + axes[0] + 1, centre[1] + axes[1] + 1]
    return pixels, {"cls": "person", "bbox": box, "mask": [points], "ignore": False}


def write_set(data: Path, name: str, count: int, seed: int, cls: str = "person", masked: bool = True) -> None:
    draw = np.random.default_rng(seed)
    (data / name / "images").mkdir(parents=True)
    entries = []
    for number in range(count):
        pixels, item = scene(draw)
        cv2.imwrite(str(data / name / "images" / f"{number}.png"), pixels)
        item |= {"cls": cls} | ({} if masked else {"mask": None})
        entry = {"file": f"{number}.png", "width": WIDTH, "height": HEIGHT, "labelled_classes": [cls]}
        entries.append(entry | {"objects": [item]})
    (data / name / "annotations.json").write_text(json.dumps(entries))


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    write_set(data, "coco_tiny", 10, 0)
    write_set(data, "ccp_street", 3, 1)
    write_set(data, "highway_id", 3, 2, "vehicle", masked=False)
    write_set(data, "openimages_lp", 1, 3, "vehicle", masked=False)
    return data


@pytest.fixture
def trunk(tmp_path: Path) -> Path:
    write_picodet(tmp_path / "picodet.onnx")
    return tmp_path / "picodet.onnx"


@pytest.fixture
def examples(shapes: Path) -> list[Example]:
    return read_examples(shapes, read_sources(shapes, MASKS, {}))


def train(data: Path, work: Path, trunk: Path, *more: str) -> int:
    common = ["--data", str(data), "--work", str(work), "--seed", "3", "--threads", "1", "--trunk", str(trunk)]
    return command.main(["outlines", *common, *more])


def fresh(trunk: Path, side: int = 32) -> OutlineNetwork:
    torch.manual_seed(0)
    return OutlineNetwork(iter(taken(load_trunk(trunk))), side)


def test_it_learns_to_tell_an_ellipse_from_its_background(examples: list[Example], trunk: Path, tmp_path: Path) -> None:
    plan = Round(1, 40, (Pool("ellipses", examples, 6),))
    state = started(fresh(trunk))
    assert advance(state, plan, layout(taken(load_trunk(trunk))), tmp_path / "round.pt")
    draw = np.random.default_rng(9)
    labelled = []
    for _ in range(6):
        pixels, item = scene(draw)
        truth = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(truth, [np.array(item["mask"][0]).reshape(-1, 2).astype(np.int32)], 1)
        labelled.append(Labelled("person", tuple(map(float, item["bbox"])), pixels, truth > 0))  # type: ignore[arg-type]
    boxes = [item.box for item in labelled]
    said = logits(state.average, crops_of(labelled, boxes, 32))
    assert summary(scores(labelled, said, boxes, 0.5, 0.0))["person"]["iou"] > 0.85


def test_a_run_that_was_stopped_ends_with_the_same_numbers(
    examples: list[Example], trunk: Path, tmp_path: Path
) -> None:
    plan = Round(1, 6, (Pool("ellipses", examples, 4),), [examples[0].pixels], seed=5)
    shapes = layout(taken(load_trunk(trunk)))
    assert advance(started(fresh(trunk)), plan, shapes, tmp_path / "whole.pt")
    broken = started(fresh(trunk))
    assert not advance(broken, Round(1, 6, plan.pools, plan.grounds, 5), shapes, tmp_path / "part.pt", until=0.0)
    clock = iter([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(clock))
        assert not advance(broken, plan, shapes, tmp_path / "part.pt", until=0.5)
    assert 0 < broken.step < 6
    resumed = restore(started(fresh(trunk)), plan, tmp_path / "part.pt")
    assert resumed.step == broken.step
    assert advance(resumed, plan, shapes, tmp_path / "part.pt")
    one, other = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("whole", "part"))
    for kind in ("network", "average"):
        assert all(torch.equal(one[kind][name], other[kind][name]) for name in one[kind])


def test_the_step_goes_through_both_rounds_and_chooses(
    shapes: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step, "SIDE", 64)
    monkeypatch.setattr("training.outlines.teach.LEAST_FILLED", 0.0)
    monkeypatch.setattr("training.outlines.teach.MOST_DOUBT", 1.0)
    assert train(shapes, tmp_path / "work", trunk, "--steps", "30", "2") == 0
    folder = tmp_path / "work" / step.FOLDER
    chosen = json.loads((folder / "outlines.json").read_text())
    assert chosen["side"] == 64
    assert chosen["margin"] == 0.15
    assert 0 < chosen["threshold"] <= 0.5
    assert {row["cls"] for row in chosen["measured"]["validation"]} == {"person"}
    assert "4 taught vehicles" in capsys.readouterr().out
    with torch.inference_mode():
        assert load_network(folder / step.CHECKPOINT)(torch.zeros(2, 3, 64, 64)).shape == (2, 64, 64)
    before = (folder / step.CHECKPOINT).read_bytes()
    assert train(shapes, tmp_path / "work", trunk, "--steps", "30", "2") == 0
    assert (folder / step.CHECKPOINT).read_bytes() == before


def test_a_run_is_told_by_its_seed_alone(
    shapes: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "SIDE", 32)
    found = []
    for number in (1, 2):
        torch.manual_seed(number)
        assert train(shapes, tmp_path / f"work{number}", trunk, "--steps", "1") == 0
        found.append(torch.load(tmp_path / f"work{number}" / step.FOLDER / "round1.pt", weights_only=True)["network"])
    one, other = found
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("option", [["--steps", "0"], ["--steps"], ["--minutes", "0"], ["--minutes", "soon"]])
def test_numbers_that_mean_nothing_are_refused(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        train(tmp_path, tmp_path / "work", tmp_path / "none.onnx", *option)
    assert "usage: hack/train outlines" in capsys.readouterr().err


def test_a_checkpoint_of_another_schedule_is_refused(examples: list[Example], trunk: Path, tmp_path: Path) -> None:
    pools = (Pool("ellipses", examples, 2),)
    advance(started(fresh(trunk)), Round(1, 1, pools), layout(taken(load_trunk(trunk))), tmp_path / "round.pt")
    with pytest.raises(CheckpointInvalid, match="has steps 1, asked for 2"):
        restore(started(fresh(trunk)), Round(1, 2, pools), tmp_path / "round.pt")


@pytest.mark.parametrize(
    ("side", "fields", "problem"),
    [
        (64, {}, "has side 32, asked for 64"),
        (32, {"seed": 4}, "has seed 0, asked for 4"),
        (32, {"teacher": "teacher --large"}, "has teacher nobody, asked for teacher --large"),
        (32, {"start": "0f"}, "began with other weights than are there now; delete it"),
    ],
)
def test_a_checkpoint_of_another_plan_is_refused(
    trunk: Path, tmp_path: Path, side: int, fields: dict[str, Any], problem: str
) -> None:
    save(started(fresh(trunk)), Round(1, 1, ()), layout(taken(load_trunk(trunk))), tmp_path / "round.pt")
    with pytest.raises(CheckpointInvalid, match=problem):
        restore(started(fresh(trunk, side)), replace(Round(1, 1, ()), **fields), tmp_path / "round.pt")


def test_a_checkpoint_of_another_network_is_refused_in_one_line(trunk: Path, tmp_path: Path) -> None:
    path = tmp_path / "round.pt"
    save(started(fresh(trunk)), Round(1, 1, ()), layout(taken(load_trunk(trunk))), path)
    kept = torch.load(path, weights_only=True)
    for kind in ("network", "average"):
        kept[kind].pop("decoder.last.weight")
    torch.save(kept, path)
    with pytest.raises(CheckpointInvalid, match=r"cannot be gone on with.* Missing key") as refused:
        restore(started(fresh(trunk)), Round(1, 1, ()), path)
    with pytest.raises(CheckpointInvalid, match=r"holds no outline network.* Missing key") as unread:
        load_network(path)
    assert "\n" not in str(refused.value) + str(unread.value)
    torch.save({"plan": {}, "tower": {}}, path)
    with pytest.raises(CheckpointInvalid, match="holds no outline network: it lacks average, layout, side"):
        load_network(path)
    with pytest.raises(CheckpointInvalid, match="it lacks average, layout, network, optimiser, round"):
        restore(started(fresh(trunk)), Round(1, 1, ()), path)


def test_a_round_is_refused_whose_round_before_was_trained_again(
    shapes: Path, trunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(step, "SIDE", 32)
    folder = tmp_path / "work" / step.FOLDER
    assert train(shapes, tmp_path / "work", trunk, "--steps", "2", "1") == 0
    (folder / "round1.pt").unlink()
    assert train(shapes, tmp_path / "work", trunk, "--steps", "1", "1") == 2
    assert "round2.pt: began with other weights than are there now" in capsys.readouterr().err
    (folder / "round2.pt").unlink()
    assert train(shapes, tmp_path / "work", trunk, "--steps", "1", "1") == 2
    assert "taught1.jsonl: was taught by network" in capsys.readouterr().err
    (folder / "taught1.jsonl").unlink()
    assert train(shapes, tmp_path / "work", trunk, "--steps", "1", "1") == 0


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(trunk: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "round.pt").write_bytes(content)
    with pytest.raises(CheckpointInvalid, match="holds no outline network"):
        load_network(tmp_path / "round.pt")
    with pytest.raises(CheckpointInvalid, match="cannot be gone on with"):
        restore(started(fresh(trunk)), Round(1, 1, ()), tmp_path / "round.pt")


def changed(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda entry: entry["objects"][0].update({name: value})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            changed("mask", {"size": [HEIGHT, WIDTH], "counts": [5]}),
            r"0\.png: objects\[0\]: run lengths cover 5 pixels",
        ),
        (changed("mask", {"size": [1, 5], "counts": [5]}), r"0\.png: objects\[0\]: mask of 5 x 1 in a picture of 160"),
        (changed("mask", [[1.0, 2.0]]), r"0\.png: objects\[0\]: mask is neither polygons nor run lengths"),
        (lambda entry: entry.update(width=99), r"images/0\.png is 160 x 120 pixels, annotations\.json says 99 x 120"),
        (lambda entry: entry.update(file="gone.png"), r"images/gone\.png: No such file"),
        (lambda entry: entry["objects"][0].pop("bbox"), r"annotations\.json\[0\]\.objects\[0\]\.bbox"),
    ],
)
def test_labels_that_lie_are_named(shapes: Path, change: Callable[[dict[str, Any]], None], problem: str) -> None:
    path = shapes / "coco_tiny" / "annotations.json"
    entries = json.loads(path.read_text())
    change(entries[0])
    path.write_text(json.dumps(entries))
    with pytest.raises(SetInvalid, match=problem):
        read_examples(shapes, read_sources(shapes, MASKS, {}))


def test_what_is_left_out_is_not_read(shapes: Path) -> None:
    sources = read_sources(shapes, MASKS, {"coco_tiny": {"0.png": "marked"}})
    assert len(read_examples(shapes, sources)) == 12
    assert "coco_tiny/0.png#0" not in {source.key for source in sources}


def test_bicycles_crowds_and_specks_teach_nothing(shapes: Path) -> None:
    path = shapes / "coco_tiny" / "annotations.json"
    entries = json.loads(path.read_text())
    entries[0]["objects"][0]["name"] = "bicycle"
    entries[1]["objects"][0]["ignore"] = True
    entries[2]["objects"][0]["bbox"] = [10, 10, 19, 19]
    entries[3]["objects"][0]["cls"] = "face"
    path.write_text(json.dumps(entries))
    assert len(read_sources(shapes, ("coco_tiny",), {})) == 6


@pytest.mark.parametrize(
    ("motorbike", "masked", "ridden"),
    [
        ([40, 60, 90, 110], False, True),  # half of the person
        ([75, 60, 130, 110], False, False),  # beside it
        ([40, 60, 90, 110], True, False),  # drawn by people, who know where a rider ends
    ],
)
def test_riders_are_not_taught(shapes: Path, motorbike: list[int], masked: bool, ridden: bool) -> None:
    name = "coco_tiny" if masked else "highway_id"
    path = shapes / name / "annotations.json"
    entries = json.loads(path.read_text())
    person = entries[0]["objects"][0] | {"cls": "person", "bbox": [40, 10, 80, 110]}
    vehicle = {"cls": "vehicle", "name": "motorbike", "bbox": motorbike, "mask": person["mask"]}
    entries[0]["objects"] = [person, vehicle]
    path.write_text(json.dumps(entries))
    numbers = [source.number for source in read_sources(shapes, (name,), {}) if source.file == "0.png"]
    assert numbers == ([1] if ridden else [0, 1])
