"""Outlines given the boxes: a network that marks red discs, on discs whose outlines are known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from evaluation import outlines
from evaluation.outlines import Score, summary
from support import outlinenet, streetnet

SCRIPT = Path(__file__).resolve().parents[4] / "hack" / "evaluate"
SIDE, RADIUS = 256, 60
ANGLES = np.linspace(0, 2 * np.pi, 90, endpoint=False)
Make = Callable[..., Path]


def disc(x: float, y: float, cls: str = "person", radius: float = RADIUS, **fields: Any) -> dict[str, Any]:
    """A label for a disc, its outline as COCO has it."""
    points = np.stack([x + radius * np.cos(ANGLES), y + radius * np.sin(ANGLES)], 1)
    polygon = points.round(2).ravel().tolist()
    return {"cls": cls, "bbox": [x - radius, y - radius, x + radius, y + radius], "polygons": [polygon], **fields}


def write_discs(folder: Path, pictures: list[list[dict[str, Any]]], red: int = 255) -> Path:
    """A set with a red disc in every labelled box, whoever it is of."""
    folder.mkdir(parents=True)
    entries = []
    for number, objects in enumerate(pictures):
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        for item in objects:
            x1, y1, x2, y2 = item["bbox"]
            cv2.circle(picture, (int(x1 + x2) // 2, int(y1 + y2) // 2), RADIUS, (0, 0, red), -1)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        entries.append({"file": f"{number}.png", "width": SIDE, "height": SIDE, "objects": objects})
    (folder / "annotations.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack that draws red discs, cut low and widened by a twentieth."""
    keys = "threshold = 0.1\ngrow = 0.05"
    return streetnet.write_pack(tmp_path / "packs" / "discs", outline=outlinenet.onnx_model(), keys=keys)


def rows(data: Path, pack: Path, tmp_path: Path) -> list[dict[str, Any]]:
    out = tmp_path / "out.json"
    assert outlines.main(["--data", str(data), "--pack", str(pack), "--json", str(out)]) == 0
    return list(json.loads(out.read_text()))


def test_what_a_network_knows_and_what_is_shipped(
    data: Path, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_discs(data / "a", [[disc(100, 100)], [disc(150, 120)], [disc(120, 150, ignore=True)]])
    write_discs(data / "b", [[disc(128, 128)], [disc(60, 60, "face")]])
    found = {(row["set"], row["cut"]): row for row in rows(data, pack, tmp_path)}
    assert [found[name, "half"]["objects"] for name in ("a", "b", "all sets")] == [2, 1, 3]
    half, shipped, moved = (found["all sets", cut] for cut in outlines.CUTS)
    assert half["iou"] > 0.96
    assert half["excess"] < 0.03
    assert shipped["recall"] > half["recall"]
    assert shipped["p10"] > 0.99
    assert 0.1 < shipped["excess"] < 0.4  # a ring of a tenth of the radius, and what is cut low
    assert moved["iou"] != shipped["iou"]
    table = capsys.readouterr().out.splitlines()
    assert table[0].startswith("| set | class |")
    assert len(table) == 2 + 9


def test_an_object_for_which_nothing_is_drawn_counts_with_its_box(data: Path, pack: Path, tmp_path: Path) -> None:
    write_discs(data / "dark", [[disc(128, 128)]], red=0)
    half = next(row for row in rows(data, pack, tmp_path) if row["cut"] == "half")
    assert half["recall"] == 1
    assert half["iou"] == pytest.approx(np.pi / 4, abs=0.01)


def test_it_is_a_command_of_hack_evaluate(data: Path, pack: Path) -> None:
    write_discs(data / "a", [[disc(100, 100)]])
    typed = [sys.executable, str(SCRIPT), "outlines", "--data", str(data), "--pack", str(pack)]
    said = subprocess.run(typed, check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1].startswith("| all sets | person | 1 | moved |")


@pytest.mark.parametrize(
    ("drawing", "cls", "said"),
    [(False, "person", "draws no outlines"), (True, "face", "no set here has outlines of person, vehicle")],
)
def test_what_cannot_be_measured_is_said(
    data: Path, tmp_path: Path, drawing: bool, cls: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_discs(data / "a", [[disc(100, 100, cls)]])
    network = outlinenet.onnx_model() if drawing else None
    pack = streetnet.write_pack(tmp_path / "packs" / "some", outline=network)
    assert outlines.main(["--data", str(data), "--pack", str(pack)]) == 2
    assert said in capsys.readouterr().err


def test_scores_are_shares_of_the_outline() -> None:
    truth, mask = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    truth[:4], mask[2:6] = True, True
    score = Score.of("person", mask, truth)
    assert (score.iou, score.recall, score.excess) == (pytest.approx(1 / 3), 0.5, 0.5)
    table = summary([score, Score("person", 1, 1, 0), Score("vehicle", 1, 1, 0)])
    assert list(table) == ["person", "vehicle"]
    assert table["person"]["p10"] == pytest.approx(0.55)
