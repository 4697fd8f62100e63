"""The benchmark runs and writes the number that it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "hack" / "bench"


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_images(tmp_path: Path) -> None:
    done = bench("images", "--rounds", "2", "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["floor_ratio"] == pytest.approx(numbers["path_ms"] / numbers["floor_ms"], rel=0.01)
    assert numbers["floor_ratio_masks"] == pytest.approx(numbers["path_masks_ms"] / numbers["floor_ms"], rel=0.01)
    assert "synthetic" in done.stdout


def test_an_unknown_benchmark_is_named() -> None:
    done = bench("colours")
    assert done.returncode == 2
    assert "images" in done.stderr
