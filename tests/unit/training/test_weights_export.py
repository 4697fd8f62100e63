"""`hack/train export`: both networks go into the pack, and what the manifest says of them; all of it or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from support.picodet import write_picodet
from training.command import main
from training.detector.fit import Plan, Run
from training.detector.network import Detector
from training.detector.tower import Tower
from training.detector.trunk import load_trunk
from training.errors import WeightsInvalid
from training.outlines.network import OutlineNetwork, layout, taken
from training.weights.export_step import load_detector
from training.weights.manifest import PACK, with_file, with_outlines, with_threshold, write_manifest
from velum_pipeline.detect.session import Runtime, Session
from velum_pipeline.detect.torchsession import TorchSession
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.errors import ManifestInvalid
from velum_pipeline.packs.manifest import parse_manifest

SHIPPED = (PACK / "pack.toml").read_text()
SIDE = 64
CHOICE = {"side": SIDE, "margin": 0.125, "threshold": 0.06, "grow": 0.02, "p10": 0.95}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the shipped manifest in `pack`, PicoDet's form in `p.onnx` and a trained tower in `work`."""
    for folder in ("pack", "work/detector", "work/outlines"):
        (tmp_path / folder).mkdir(parents=True)
    write_picodet(tmp_path / "p.onnx")
    (tmp_path / "pack" / "pack.toml").write_text(SHIPPED)
    return tmp_path


def towered(place: Path, step: int = 2) -> Tower:
    """A tower at random, kept as a training of two steps would."""
    torch.manual_seed(0)
    tower = Tower()
    run = Run(tower, Plan(2, 1, 1e-3, 0))
    run.step = step
    run.save(place / "work" / "detector" / "tower.pt")
    return tower


def outlined(place: Path, choice: Mapping[str, object] = CHOICE) -> None:
    """An outline network at random, and how to draw with it."""
    torch.manual_seed(1)
    convolutions = taken(load_trunk(place / "p.onnx"))
    network = OutlineNetwork(iter(convolutions), SIDE)
    kept = {"layout": layout(convolutions), "side": SIDE, "average": network.state_dict()}
    torch.save(kept, place / "work" / "outlines" / "outlines.pt")
    (place / "work" / "outlines" / "outlines.json").write_text(json.dumps(choice))


def export(place: Path, *more: str) -> int:
    flags = ["--work", str(place / "work"), "--pack", str(place / "pack"), "--trunk", str(place / "p.onnx")]
    return main(["export", *flags, *more])


def test_both_networks_are_written_twice_and_described(place: Path) -> None:
    tower = towered(place)
    outlined(place)
    assert export(place) == 0
    pack = place / "pack"
    found = parse_manifest((pack / "pack.toml").read_text(), "pack.toml")
    assert {path.name for path in pack.iterdir()} == {"pack.toml", *(file.name for file in found.files)}
    for file in found.files:
        data = (pack / file.name).read_bytes()
        assert (file.sha256, file.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert file.size < 2.7e6
    (outline,) = found.outlines
    assert (outline.side, outline.margin, outline.threshold, outline.grow) == (SIDE, 0.125, 0.06, 0.02)

    pixels = (np.random.default_rng(0).random((2, 3, 32, 224)) * 255).astype(np.float32)
    with torch.no_grad():
        objects, parts = Detector(load_trunk(place / "p.onnx"), tower).eval()(torch.from_numpy(pixels))
    for kind, name in ((Session, "velum-street.onnx"), (TorchSession, "velum-street.pt2")):
        said = kind(name, (pack / name).read_bytes(), Runtime(threads=1), free_batch=True, free_size=True).run(pixels)
        np.testing.assert_allclose(np.asarray(said["objects"])[..., :2], objects[..., :2], atol=2e-3)
        np.testing.assert_allclose(np.asarray(said["parts"])[..., 2:6], parts[..., 2:6], atol=0.2)


def test_without_a_checkpoint_it_says_which_step_is_missing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(place, "--only", "velum-street") == 2
    assert "hack/train detector" in capsys.readouterr().err
    assert export(place, "--only", "velum-outline") == 2
    assert "hack/train outlines" in capsys.readouterr().err
    outlined(place)
    assert export(place, "--only", "velum-street", "--only", "velum-outline") == 2  # both are meant, not the last
    assert "hack/train detector" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (CHOICE | {"side": 128}, "outlines.json: its side is 128, that of outlines.pt 64"),
        ({"side": 64}, "hack/train outlines"),
        (CHOICE | {"grow": "much"}, "grow is no number"),
    ],
)
def test_what_fails_at_the_end_has_changed_nothing(
    place: Path, choice: Mapping[str, object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outlined(place, choice)
    assert export(place, "--only", "velum-outline") == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in (place / "pack").iterdir()] == ["pack.toml"]
    assert (place / "pack" / "pack.toml").read_text() == SHIPPED


def test_a_place_that_the_manifest_lacks_leaves_the_files_as_they_are(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "pack" / "pack.toml").write_text(without := SHIPPED.replace("velum-outline.pt2", "other.pt2"))
    (place / "pack" / "velum-outline.onnx").write_bytes(b"of before")
    outlined(place)
    assert export(place, "--only", "velum-outline") == 2
    assert "does not list velum-outline.pt2" in capsys.readouterr().err
    assert (place / "pack" / "velum-outline.onnx").read_bytes() == b"of before"
    assert (place / "pack" / "pack.toml").read_text() == without


def test_half_a_training_is_taken_on_request_only(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    towered(place, step=1)
    assert export(place, "--only", "velum-street") == 2
    assert "tower.pt: is at step 1 of 2; go on" in capsys.readouterr().err
    assert export(place, "--only", "velum-street", "--unfinished") == 0


def test_the_checkpoint_of_another_tower_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(Tower(channels=16), Plan(2, 1, 1e-3, 0))
    run.step = 2
    run.save(place / "work" / "detector" / "tower.pt")
    assert export(place, "--only", "velum-street") == 2
    assert "tower.pt: its tower is not the one of this checkout" in capsys.readouterr().err


def test_a_checkpoint_from_before_plans_had_hashes_is_read(place: Path) -> None:
    towered(place)
    path = place / "work" / "detector" / "tower.pt"
    state = torch.load(path, weights_only=True)
    for key in ("labels", "trunk", "start"):
        del state["plan"][key]
    torch.save(state, path)
    assert load_detector(place / "p.onnx", path).tower.state_dict().keys() == Tower().state_dict().keys()


def test_numbers_of_outlines_go_where_they_belong() -> None:
    numbers = {"side": 96, "margin": 0.125, "threshold": 0.06, "grow": 0.02}
    text = with_outlines(SHIPPED, "velum-outline", numbers)
    before, after = SHIPPED.splitlines(), text.splitlines()
    changed = {new for old, new in zip(before, after, strict=True) if old != new}
    assert changed <= {"side = 96", "margin = 0.125", "threshold = 0.060", "grow = 0.020"}
    assert "side = 96" in changed
    with pytest.raises(WeightsInvalid, match="side in velum-sketch"):
        with_outlines(SHIPPED, "velum-sketch", {"side": 96})


def test_every_look_of_the_shipped_pack_has_places_for_its_thresholds() -> None:
    for component in parse_manifest(SHIPPED, "pack.toml").components:
        for name in component.classes:
            text = with_threshold(SHIPPED, component.name, name, 0.4321)
            found = {each.name: each for each in parse_manifest(text, "pack.toml").components}
            assert found[component.name].classes[name].threshold == 0.432


def test_what_the_manifest_has_no_place_for_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"weights")
    with pytest.raises(WeightsInvalid, match=r"other\.onnx"):
        with_file(SHIPPED, tmp_path / "other.onnx")
    with pytest.raises(WeightsInvalid, match="threshold of person in velum-street-near"):
        with_threshold(SHIPPED, "velum-street-near", ObjectClass.PERSON, 0.4)


def test_a_manifest_that_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "pack.toml"
    path.write_text(SHIPPED)
    with pytest.raises(ManifestInvalid, match="threshold"):
        write_manifest(path, with_threshold(SHIPPED, "velum-street", ObjectClass.FACE, 0.0))
    assert path.read_text() == SHIPPED
