"""hack/evaluate as it is typed, on a few pictures of every shared set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "hack" / "evaluate"
LABELLED = {
    ("faces/dlib_voc", "face"),
    ("faces/mask853", "face"),
    ("objects/kitti13", "person"),
    ("objects/kitti13", "vehicle"),
    ("objects/pose_minicoco", "person"),
    ("objects/tinycoco", "person"),
    ("objects/tinycoco", "vehicle"),
    ("plates/cars_cc0", "plate"),
    ("plates/romania", "plate"),
}


def test_every_set_gives_its_rows(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--pack", "street", "--data", str(data / "eval"), "--limit", "4", "--json", str(out)]
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())
    assert {(row["set"], row["cls"]) for row in rows} >= LABELLED
    assert len(rows) == 2 * len({(row["set"], row["cls"]) for row in rows})
    for row in rows:
        assert row["pack"] == "street"
        assert row["iou"] in (0.3, 0.5)
        assert row["recall"] is None or 0 <= row["recall"] <= 1
        assert row["ms_per_image"] > 0
        outlined = row["set"] in ("objects/pose_minicoco", "objects/tinycoco")
        assert outlined or row["pixel_recall"] is None
    found = {(row["set"], row["cls"], row["iou"]): row["recall"] for row in rows}
    assert {row["set"] for row in rows if row["pixel_recall"]} == {"objects/pose_minicoco", "objects/tinycoco"}
    assert found["faces/dlib_voc", "face", 0.3] >= 0.9
    assert (tmp_path / "out-misses.png").stat().st_size > 1000
