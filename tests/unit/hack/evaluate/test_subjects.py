"""Packs are found where `velum` finds them, and say what they lack as it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.errors import SubjectInvalid
from evaluation.measure import Settings
from evaluation.sets import read_set
from evaluation.subjects import load_packs
from support.labelled import drawn, face, write_pack
from velum_pipeline.detect import Runtime
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import WeightsCorrupt, WeightsMissing

CPU = Runtime(threads=1)
MakePack = Callable[..., Path]


def test_a_folder_with_its_weights(make_pack: MakePack, make_set: Callable[..., Path]) -> None:
    pack = load_packs(str(make_pack()), [], CPU)
    assert (pack.name, pack.classes) == ("bright", {ObjectClass.FACE})
    labelled = read_set(make_set("a", [([(4, 4)], [face(4, 4)])]), "a")
    look = pack.over(labelled, Settings().options(frozenset({ObjectClass.FACE})))
    seen = look(labelled.pictures[0], drawn((4, 4), (14, 0)))
    expected = [face(4, 4)["bbox"], [*face(14, 0)["bbox"]]]
    np.testing.assert_allclose(seen.detections.boxes, np.clip(expected, 0, 64), atol=0.1)
    assert seen.milliseconds is not None
    assert seen.milliseconds > 0


def test_a_name_in_a_folder_of_packs(make_pack: MakePack) -> None:
    assert load_packs("bright", [make_pack().parent], CPU).name == "bright"


def test_weights_may_lie_apart(make_pack: MakePack, tmp_path: Path, network: bytes) -> None:
    folder = make_pack(weights=False)
    with pytest.raises(WeightsMissing, match=r"bright\.onnx of model pack bright"):
        load_packs(str(folder), [], CPU)
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "bright.onnx").write_bytes(network)
    assert load_packs(str(folder), [weights], CPU).classes == {ObjectClass.FACE}
    (weights / "bright.onnx").write_bytes(network[:-1])
    with pytest.raises(WeightsCorrupt):
        load_packs(str(folder), [weights], CPU)


def test_several_are_one_detector(make_pack: MakePack) -> None:
    one, two = make_pack("one"), make_pack("two")
    pack = load_packs(f"{one}+two", [two.parent], CPU)
    assert (pack.name, len(pack.detector.components)) == ("one+two", 2)
    with pytest.raises(SubjectInvalid, match="one stands in it twice"):
        load_packs(f"{one}+one", [two.parent], CPU)


def test_a_known_name_is_a_name_whatever_lies_here(
    make_pack: MakePack, tmp_path: Path, network: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = make_pack()
    write_pack(tmp_path / "bright", network, "other")
    monkeypatch.chdir(tmp_path)
    assert load_packs("bright", [known.parent], CPU).name == "bright"
    assert load_packs("./bright", [known.parent], CPU).name == "other"
    assert load_packs("bright", [], CPU).name == "other"


def test_what_is_no_pack(tmp_path: Path) -> None:
    with pytest.raises(SubjectInvalid, match=r"--pack zebra: no model pack named 'zebra'.*street.*pack\.toml"):
        load_packs("zebra", [], CPU)
    with pytest.raises(SubjectInvalid, match="no model pack named"):
        load_packs(str(tmp_path), [], CPU)
