"""The benchmark runs and writes the numbers that it promises; its peer is really the peer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

HACK = Path(__file__).resolve().parents[3] / "hack"
BENCH = HACK / "bench"


def run(*arguments: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def deface() -> Path:
    """The folder of the peer's scripts, its environment installed."""
    made = run("-c", "from interpreter import interpreter; interpreter('deface')", PYTHONPATH=str(HACK / "peers"))
    if made.returncode:
        pytest.skip(f"no package index here: {made.stderr.strip().splitlines()[-1]}")
    return HACK / "peers"


@pytest.fixture
def grey_picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8))
    return path


def test_images(tmp_path: Path) -> None:
    done = run(str(BENCH), "images", "--rounds", "2", "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "out.json").read_text())
    assert numbers["floor_ratio"] == pytest.approx(numbers["path_ms"] / numbers["floor_ms"], rel=0.01)
    assert numbers["floor_ratio_masks"] == pytest.approx(numbers["path_masks_ms"] / numbers["floor_ms"], rel=0.01)
    assert numbers["scaling_2"] > 0
    assert "synthetic" in done.stdout


def test_an_unknown_benchmark_is_named() -> None:
    done = run(str(BENCH), "colours")
    assert done.returncode == 2
    assert "images" in done.stderr


def test_a_peer_without_labelled_faces_is_an_error(tmp_path: Path) -> None:
    done = run(str(BENCH), "images", "--peer", "deface", VELUM_SHARED=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--data" in done.stderr
    done = run(str(BENCH), "images", "--peer", "deface", "--data", str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "annotations.json" in done.stderr


def test_beside_deface_on_real_faces(deface: Path, tmp_path: Path) -> None:
    if "VELUM_SHARED" not in os.environ:
        pytest.skip("VELUM_SHARED names no folder with data/models and data/eval")
    out = tmp_path / "out.json"
    data = Path(os.environ["VELUM_SHARED"]) / "data" / "eval" / "faces" / "dlib_voc"
    done = run(
        str(BENCH),
        "images",
        "--peer",
        "deface",
        "--data",
        str(data),
        "--turns",
        "1",
        "--rounds",
        "2",
        "--json",
        str(out),
    )
    assert done.returncode == 0, done.stderr
    numbers = json.loads(out.read_text())
    assert numbers["recall"] == numbers["peer_recall"] == numbers["same_weights_recall"] == 1.0
    assert numbers["peer_ratio"] == pytest.approx(numbers["images_per_s"] / numbers["peer_images_per_s"], rel=0.01)
    assert numbers["floor_ratio"] == pytest.approx(numbers["path_ms"] / numbers["floor_ms"], rel=0.01)


def test_deface_detects_what_it_is_shown(deface: Path, grey_picture: Path) -> None:
    done = run(str(deface / "deface_detect.py"), str(grey_picture))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["file"], answer["detections"]) == (str(grey_picture), [])
    missing = run(str(deface / "deface_detect.py"), "nowhere.png")
    assert missing.returncode == 2
    assert "nowhere.png" in missing.stderr


def test_deface_redacts_the_boxes_it_is_given(deface: Path, grey_picture: Path, tmp_path: Path) -> None:
    job = {"picture": str(grey_picture), "boxes": [[30, 20, 70, 60]], "out": str(tmp_path / "out.png")}
    for method in ("blur", "mosaic"):
        done = run(str(deface / "deface_redact.py"), given=json.dumps(job | {"method": method}) + "\n")
        assert done.returncode == 0, done.stderr
        before, after = cv2.imread(str(grey_picture)), cv2.imread(str(tmp_path / "out.png"))
        assert before is not None
        assert after is not None
        changed = (before != after).any(axis=2)
        assert changed[25:55, 35:65].mean() > 0.9  # ellipses cover a box grown 1.3 times to each side
        changed[: 72 + 1, 18 : 82 + 1] = False
        assert not changed.any()
    done = run(str(deface / "deface_redact.py"), given=json.dumps(job | {"method": "smudge"}) + "\n")
    assert done.returncode == 2
    assert "job 1" in done.stderr
