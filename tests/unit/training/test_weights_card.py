"""What was measured reaches the card and the manifest as it is, and nothing else of them changes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training.command import main

CARD = "# velum-street\n\nWords.\n\n<!-- measured -->\nold\n<!-- /measured -->\n\nMore words.\n"
MANIFEST = """# words that stay
name = "velum-street"
version = "1.0.0"
title = "T"
description = "D"
licence = "Apache-2.0"

[[files]]
name = "velum-street.onnx"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
size = 1

[[components]]
name = "velum-street"
file = "velum-street.onnx"
licence = "Apache-2.0"
decoder = "street"
classes = { face = { threshold = 0.3 }, license-plate = { threshold = 0.3 } }

[components.input]
kind = "dynamic"
max_side = 640
colour = "rgb"
"""


def row(pack: str, iou: float, recall: float | None, **more: Any) -> dict[str, Any]:
    return {
        "pack": pack, "set": "faces/a", "cls": "face", "iou": iou, "recall": recall, "precision": 0.75,
        "pixel_recall": None, "ms_per_image": 1.0,
    } | more  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "card.md").write_text(CARD)
    (tmp_path / "pack.toml").write_text(MANIFEST)
    return tmp_path


def card(folder: Path, **files: Any) -> int:
    flags = []
    for name, rows in files.items():
        (folder / f"{name}.json").write_text(rows if isinstance(rows, str) else json.dumps(rows))
        flags += ["--rows", str(folder / f"{name}.json")]
    places = ["--pack", str(folder), "--card", str(folder / "card.md"), "--work", str(folder), "--data", str(folder)]
    return main(["card", *flags, *places])


def test_figures_stand_side_by_side(folder: Path) -> None:
    rows = [row("velum-street", 0.3, 0.9), row("velum-street", 0.5, 0.8), row("other", 0.3, None)]
    more = [row("velum-street", 0.3, 0.97), row("velum-street", 0.5, 0.91, pixel_recall=0.95)]
    assert card(folder, whole=rows, auto=more) == 0
    text = (folder / "card.md").read_text()
    assert (
        "| velum-street | faces/a | face | 0.900 / 0.800 | 0.750 / 0.750 | 0.970 / 0.910 | 0.750 / 0.750 | 0.950 |"
        in text
    )
    assert "| other | faces/a | face | - | 0.750 | - | - | - |" in text
    assert text.startswith("# velum-street\n\nWords.\n")
    assert text.endswith("\n<!-- /measured -->\n\nMore words.\n")
    assert "old" not in text


def test_the_manifest_says_what_auto_reaches(folder: Path) -> None:
    rows = [row("velum-street", 0.5, 0.91), row("velum-street", 0.5, 0.7, cls="plate", set="plates/b")]
    assert card(folder, auto=rows) == 0
    found = tomllib.loads((folder / "pack.toml").read_text())
    assert found["measured"] == [
        {"set": "faces/a", "cls": "face", "iou": 0.5, "recall": 0.91, "precision": 0.75, "format": "auto"},
        {"set": "plates/b", "cls": "license-plate", "iou": 0.5, "recall": 0.7, "precision": 0.75, "format": "auto"},
    ]
    assert card(folder, auto=rows[:1]) == 0  # figures that are there are replaced, not added to
    text = (folder / "pack.toml").read_text()
    assert len(tomllib.loads(text)["measured"]) == text.count("measured") == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"auto": "not JSON"}, "hack/evaluate --json"),
        ({"auto": [{"pack": "velum-street"}]}, "a row lacks"),
        ({"auto": [row("other", 0.5, 1.0)]}, "velum-street"),
        ({"tiles": [row("velum-street", 0.5, 1.0)]}, "whole or auto"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_changes(
    folder: Path, files: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert card(folder, **files) == 2
    assert said in capsys.readouterr().err
    assert (folder / "card.md").read_text() == CARD
    assert (folder / "pack.toml").read_text() == MANIFEST


def test_a_card_without_marks_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "card.md").write_text("# nothing to fill\n")
    assert card(folder, auto=[row("velum-street", 0.5, 1.0)]) == 2
    assert "measured" in capsys.readouterr().err
