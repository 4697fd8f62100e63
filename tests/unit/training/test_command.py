"""`hack/train`: which steps there are, and what it says when something is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import command

pytestmark = pytest.mark.usefixtures("nowhere_else")


def test_no_folder_of_sets_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["label"]) == 2
    assert "name the folder of the sets with --data or VELUM_TRAINING" in capsys.readouterr().err


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VELUM_TRAINING", str(tmp_path))
    assert command.main(["label", "--work", str(tmp_path / "work")]) == 2
    assert f"{tmp_path} holds none of the sets" in capsys.readouterr().err


def test_a_folder_that_is_none_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["label", "--data", str(tmp_path / "no")]) == 2
    assert "is not a folder; --data names" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["export", "calibrate", "card"])
def test_pictures_are_asked_for_where_they_are_read(
    step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pack.toml").write_text("name = 'none'")
    rows = ["--rows", str(tmp_path / "auto.json")] if step == "card" else []
    assert command.main([step, "--work", str(tmp_path), "--pack", str(tmp_path), *rows]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path) in said
    assert "--data" not in said


def test_a_step_without_its_module_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"distil": ("training.distillery.step", "not there")}
    assert command.main(["distil", "--data", str(tmp_path)], steps) == 2
    assert capsys.readouterr().err == "hack/train: distil: this checkout has no training.distillery.step\n"


def test_a_step_that_lacks_something_else_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "needy.py").write_text("import a_package_that_nobody_made\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_made"):
        command.main(["needy", "--data", str(tmp_path)], {"needy": ("needy", "")})


NUMBERS = [
    ["detector", f"--{name}", value]
    for name, value in (
        *(("seed", "-1"), ("steps", "0"), ("batch", "0"), ("workers", "-1"), ("workers", "one")),
        *(("rate", "0"), ("rate", "nan"), ("rate", "fast")),
    )
]


@pytest.mark.parametrize("argv", [[], ["nothing"], ["label", "--threads", "0"], ["label", "--colour", "red"], *NUMBERS])
def test_what_is_not_understood_is_said(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(argv)
    assert "usage: hack/train" in capsys.readouterr().err


def test_help_names_every_step_without_loading_any(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {step} " in said for step in command.STEPS)
