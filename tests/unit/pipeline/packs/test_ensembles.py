"""Packs asked together: each class by those that find it, one object where several see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.labelled import bright_network, drawn, write_pack
from velum_pipeline.detect import Runtime
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs import PackRegistry

CELL = (4, 4)
FACE, PLATE = ObjectClass.FACE, ObjectClass.LICENSE_PLATE


@pytest.fixture
def registry(tmp_path: Path, pack: Any) -> PackRegistry:
    """Two packs that see a face around every bright cell, and one that sees a plate in every picture."""
    write_pack(tmp_path / "bright", bright_network())
    write_pack(tmp_path / "second", bright_network(), "second")
    pack.write(tmp_path / "plates", "plates")
    return PackRegistry((tmp_path,))


def look(registry: PackRegistry, *packs: str) -> Detections:
    detector = registry.load(packs, Runtime(threads=1))
    wanted = {name: ClassOptions.default(name) for name in detector.classes}
    (found,) = detector.detect([drawn(CELL)], Options(Method.DETECT, wanted))
    return found


def test_each_class_is_found_by_the_pack_that_finds_it(registry: PackRegistry) -> None:
    assert look(registry, "bright").classes.tolist() == [FACE]
    assert look(registry, "plates").classes.tolist() == [PLATE]
    assert sorted(look(registry, "bright", "plates").classes.tolist()) == [FACE, PLATE]


def test_what_two_packs_see_is_one_object_and_surer(registry: PackRegistry) -> None:
    one, both = look(registry, "bright"), look(registry, "bright", "second")
    assert len(both) == len(one) == 1
    assert np.allclose(both.boxes, one.boxes, atol=0.5)
    assert both.scores[0] >= one.scores[0]


def test_the_order_of_names_does_not_matter(registry: PackRegistry) -> None:
    one, other = look(registry, "bright", "plates"), look(registry, "plates", "bright")
    assert one.classes.tolist() == other.classes.tolist()
    assert np.array_equal(one.boxes, other.boxes)


def test_faces_are_found_by_either(registry: PackRegistry, tmp_path: Path) -> None:
    """A face of .6 that one pack sees and the other looks straight through is a face of .6."""
    write_pack(tmp_path / "blind", bright_network(), "blind")
    text = (tmp_path / "blind" / "pack.toml").read_text()
    (tmp_path / "blind" / "pack.toml").write_text(text.replace("threshold = 0.5", "threshold = 0.99"))
    packs = PackRegistry((tmp_path,))
    wanted = Options(Method.DETECT, {FACE: ClassOptions.default(FACE)})
    dim = drawn(CELL) // 5 * 3
    alone, blind, both, turned = (
        packs.load(names, Runtime(threads=1)).detect([dim], wanted)[0]
        for names in (["bright"], ["blind"], ["bright", "blind"], ["blind", "bright"])
    )
    assert len(blind) == 0
    assert alone.scores.tolist() == pytest.approx([0.6], abs=0.01)
    for found in (both, turned):
        assert found.scores.tolist() == alone.scores.tolist()
        assert found.boxes.tolist() == alone.boxes.tolist()
