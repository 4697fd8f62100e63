"""velum-street is in the project and in its wheel: weights, manifest, and small enough for both."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from velum_pipeline.packs import PackRegistry, parse_manifest

ROOT = Path(__file__).resolve().parents[4]
FOLDER = "velum_pipeline/packs/velum-street"
MOST_BYTES = 10_000_000
FORMS = {"velum-street.onnx", "velum-street.pt2", "velum-outline.onnx", "velum-outline.pt2"}
SOURCES = ("operator", "serve", "pyproject.toml", "README.md", "LICENSE", "NOTICE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built in a copy: setuptools leaves folders where it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.nb[ci]")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / "tree" / name, ignore=ignored)
        else:
            shutil.copy(source, folder / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    made = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(folder / "tree")], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_weights_that_the_manifest_describes(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        manifest = parse_manifest(archive.read(f"{FOLDER}/pack.toml").decode(), "the wheel")
        assert {file.name for file in manifest.files} == FORMS
        for file in manifest.files:
            weights = archive.read(f"{FOLDER}/{file.name}")
            assert (len(weights), hashlib.sha256(weights).hexdigest()) == (file.size, file.sha256), file.name


def test_the_wheel_holds_no_weights_of_others(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.endswith((".onnx", ".pt2"))} == {f"{FOLDER}/{name}" for name in FORMS}
    for pack in ("centerface", "faces", "street"):
        assert f"velum_pipeline/packs/{pack}/pack.toml" in names


def test_all_forms_together_are_small(tmp_path: Path) -> None:
    files = PackRegistry((), tmp_path).get("velum-street").files
    assert sum(file.size for file in files) <= MOST_BYTES


def test_it_is_ready_where_nothing_was_fetched(tmp_path: Path) -> None:
    status = next(each for each in PackRegistry((), tmp_path).available() if each.manifest.name == "velum-street")
    assert status.ready, status.problems
    assert "shipped" in status.origin


def test_git_keeps_them_and_no_others(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    paths = [f"serve/{FOLDER}/{name}" for name in sorted(FORMS)]
    paths += ["serve/velum_pipeline/packs/street/yunet_n_dynamic.onnx", "mine.onnx", "mine.pt2"]
    command = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == paths[len(FORMS) :]
