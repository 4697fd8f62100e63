"""Sets of the test's own, and a network that sees bright cells."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import pytest

from support.labelled import SIDE, Cell, bright_network, drawn, write_pack

Picture = tuple[str, list[Cell], list[dict[str, Any]]]
"""Its file, its bright cells, and what is labelled in it."""


@pytest.fixture
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No sets or weights but those that a test makes."""
    monkeypatch.setenv("VELUM_SHARED", str(tmp_path / "shared"))
    monkeypatch.setenv("VELUM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VELUM_TRAINING", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where sets are made."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def make_set(data: Path) -> Callable[..., Path]:
    """make_set("faces_maskon", [("1.png", cells, objects), ...], ["face"]): a set as the training data has them."""

    def make(name: str, pictures: Sequence[Picture], labelled: Sequence[str] = (), **fields: Any) -> Path:
        images = data / name / "images"
        images.mkdir(parents=True)
        for file, cells, _ in pictures:
            cv2.imwrite(str(images / file), drawn(*cells))
        entries = [
            {"file": file, "width": SIDE, "height": SIDE, "labelled_classes": list(labelled), "objects": objects}
            | fields
            for file, _, objects in pictures
        ]
        (data / name / "annotations.json").write_text(json.dumps(entries))
        return data / name

    return make


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """A folder of packs: one network that sees a face around every bright cell."""
    write_pack(tmp_path / "packs" / "bright", bright_network(), "bright", weights=True)
    return tmp_path / "packs"
