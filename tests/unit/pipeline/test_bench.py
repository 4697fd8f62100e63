"""The benchmark runs and writes the numbers that it promises; its peer is really the peer."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.tracks import clips

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


def test_a_video_without_the_shared_clips_is_not_measured(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run(str(BENCH), "video", "--json", str(out), VELUM_SHARED=str(tmp_path))
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "VELUM_SHARED" in done.stderr
    numbers = json.loads(out.read_text())
    promised = ("floor_ratio", "peer_ratio", "track_recall", "peer_track_recall", "peak_mib")
    assert [numbers[name] for name in promised] == [None] * 5


@pytest.fixture
def street(tmp_path: Path) -> Path:
    """A shared folder with a small drawn clip by the street video's name, and nothing else."""
    folder = tmp_path / "shared" / "data" / "video"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    picture = cv2.resize(random.integers(0, 256, (12, 16, 3)).astype(np.uint8), (160, 120))
    clips.write(folder / "london_street_720p.mp4", (np.roll(picture, step, 1) for step in range(15)), Fraction(25))
    return tmp_path / "shared"


def test_a_video_beside_its_floor_and_over_its_length(street: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    for wanted in (["floor", "--rounds", "1"], ["memory", "--seconds", "1.2", "2.4"]):
        done = run(str(BENCH), "video", "--only", *wanted, "--json", str(out), VELUM_SHARED=str(street))
        assert (done.returncode, done.stderr) == (0, "")
        assert ("enlarged to 1080p" in done.stdout) == (wanted[0] == "floor")
    numbers = json.loads(out.read_text())
    assert numbers["floor_ratio"] == pytest.approx(numbers["floor_fps"] / numbers["path_fps"], rel=0.01)
    assert numbers["floor_ratio_cpu_1080p"] > 0.5
    assert 50 < numbers["peak_mib_1.2s"] < 4000
    assert numbers["peak_ratio"] == pytest.approx(numbers["peak_mib"] / numbers["peak_mib_1.2s"], rel=0.01)
    assert numbers["peer_ratio"] is None
    assert set(numbers["loads"]) == {"floor", "memory"}


def test_what_a_command_took_is_its_own(tmp_path: Path) -> None:
    spent = str(HACK / "benchmarks" / "film" / "spent.py")
    memory = "held = bytearray(200 << 20); print('said')"
    large = json.loads(run(spent, sys.executable, "-c", memory).stdout)
    assert large["status"] == 0
    assert large["peak_mib"] > 200
    small = json.loads(run(spent, sys.executable, "-S", "-c", "raise SystemExit(3)").stdout)
    assert small["status"] == 3
    assert small["peak_mib"] < 60
    assert json.loads(run(spent, "no-such-command").stdout)["status"] == 127


def test_deface_works_on_a_video(deface: Path, street: Path, tmp_path: Path) -> None:
    source, target = street / "data" / "video" / "london_street_720p.mp4", tmp_path / "out.mp4"
    script = str(deface / "deface_video.py")
    done = run(script, str(source), "--output", str(target))
    assert done.returncode == 0, done.stderr
    assert clips.described(target)[1] == 15
    missing = run(script, str(tmp_path / "nowhere.mp4"), "--output", str(tmp_path / "nothing.mp4"))
    assert missing.returncode == 1


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
