"""`velum models list`: what people and programs read of packs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.labelled import bright_network, write_pack
from velum_cli.main import app
from velum_cli.models import document, listing, remedy
from velum_pipeline.packs.registry import PackRegistry, PackStatus

runner = CliRunner()
FIGURES = """
[[measured]]
set = "faces/crowd"
cls = "face"
iou = 0.5
recall = 0.9449
precision = 0.8
format = "whole"

[[measured]]
set = "faces/crowd"
cls = "face"
iou = 0.5
recall = 0.951
precision = 0.6
format = "auto"

[[measured]]
set = "faces/near"
cls = "face"
iou = 0.3
recall = 1.0
precision = 0.7
format = "whole"
"""


@pytest.fixture
def packs(tmp_path: Path) -> list[PackStatus]:
    """A pack with figures, one whose weights nobody offers, and those that ship; nothing is in the cache."""
    folder = write_pack(tmp_path / "bright", bright_network())
    with (folder / "pack.toml").open("a") as manifest:
        manifest.write(FIGURES)
    write_pack(tmp_path / "dark", bright_network(), "dark", weights=False)
    return PackRegistry((tmp_path,), tmp_path / "cache").available()


def below(table: str, name: str) -> list[str]:
    """The line of a pack and those under it."""
    lines = table.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(name + " "))
    rest = [index for index, line in enumerate(lines) if index > start and not line.startswith("  ")]
    return lines[start : rest[0]]


def test_the_default_comes_first_with_a_star(packs: list[PackStatus]) -> None:
    lines = listing(packs, ("bright",)).splitlines()
    assert lines[0].split() == ["PACK", "READY", "SIZE", "LICENCE"]
    assert lines[1].split() == ["bright", "*", "yes", "0.0", "MB", "none"]
    assert "*" not in "".join(line for line in lines[2:] if "default" not in line)


def test_recall_is_told_for_each_set_once(packs: list[PackStatus]) -> None:
    face = below(listing(packs, ()), "bright")[1]
    assert face.split(maxsplit=1) == ["face", "crowd 0.95 at 0.60, near 1.00 at 0.70 (IoU 0.3, whole)"]


def test_what_is_missing_is_told_with_the_way_to_get_it(packs: list[PackStatus]) -> None:
    table = listing(packs, ("velum-street",))
    assert below(table, "centerface")[0].split()[1] == "no"
    assert below(table, "centerface")[-1] == "  get it with: velum models fetch centerface"
    assert below(table, "dark")[-1] == "  lacks bright.onnx; from a mirror: velum models fetch dark --mirror URL"


def test_a_wrong_file_is_not_told_to_be_missing(tmp_path: Path) -> None:
    (write_pack(tmp_path, bright_network()) / "bright.onnx").write_bytes(b"else")
    status = next(each for each in PackRegistry((tmp_path,)).available() if each.manifest.name == "bright")
    assert "expected sha256" in remedy(status)


def test_it_fits_a_terminal_of_120_columns(tmp_path: Path) -> None:
    (write_pack(tmp_path / "wrong", bright_network(), "wrong") / "bright.onnx").write_bytes(b"else")
    packs = PackRegistry((tmp_path,), tmp_path / "cache").available()
    wide = {len(line): line for line in listing(packs, ("velum-street",)).splitlines()}
    assert max(wide) <= 120, wide[max(wide)]


def test_programs_read_everything(packs: list[PackStatus]) -> None:
    told = {each["name"]: each for each in json.loads(document(packs, ("velum-street",)))}
    assert told["velum-street"]["default"] is True
    assert set(told["velum-street"]["classes"]) == {"face", "license-plate", "person", "vehicle"}
    assert told["bright"]["ready"] is True
    assert told["bright"]["bytes"] == len(bright_network())
    assert [(each["set"], each["recall"]) for each in told["bright"]["measured"]] == [
        ("faces/crowd", 0.9449),
        ("faces/crowd", 0.951),
        ("faces/near", 1.0),
    ]
    assert told["dark"]["ready"] is False
    assert "bright.onnx" in told["dark"]["problems"][0]


def test_folders_are_named_by_flag_or_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `velum up` would use is what is listed as ready, wherever its folder was named."""
    write_pack(tmp_path / "bright", bright_network())
    by_flag = runner.invoke(app, ["models", "list", "--json", "--packs", str(tmp_path)])
    monkeypatch.setenv("VELUM_SERVING_PACKS", str(tmp_path))
    by_setting = runner.invoke(app, ["models", "list", "--json"])
    for done in (by_flag, by_setting):
        assert done.exit_code == 0, done.output
        assert {"bright": True}.items() <= {each["name"]: each["ready"] for each in json.loads(done.stdout)}.items()


def test_it_starts_no_web_server(tmp_path: Path) -> None:
    """A second of imports for every `velum models list` would be felt."""
    program = (
        "import sys\nfrom velum_cli.main import app\n"
        "try: app(['models', 'list'])\nexcept SystemExit: pass\n"
        "print({'fastapi', 'kopf', 'ray', 'kubernetes'} & set(sys.modules), file=sys.stderr)"
    )
    env = {**os.environ, "VELUM_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stderr.strip() == "set()"
