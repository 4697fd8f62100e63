"""The whole way on sets made here: rows, table, sheet, and one line for what the user can mend."""

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

from evaluation import command
from evaluation.sheet import MARGIN, TILE, TITLE
from support.labelled import drawn, face

SCRIPT = Path(__file__).resolve().parents[4] / "hack" / "evaluate"
RED = (60, 60, 255)
Make = Callable[..., Path]


@pytest.fixture
def two_sets(make_set: Make) -> None:
    """One face found, one half found (IoU 0.4), one missed and one wrong in `a/street`; one found in `b`."""
    low = face(12, 12)
    x1, y1, x2, y2 = low["bbox"]
    half = {**low, "bbox": [x1, y1, x2, y1 + 0.4 * (y2 - y1)]}
    plate = {"cls": "plate", "bbox": [0, 0, 4, 4]}
    make_set("a/street", [([(4, 4), (12, 12)], [face(4, 4), half]), ([(12, 4)], [face(4, 12), plate])])
    make_set("b", [([(8, 8)], [face(8, 8)]), ([(8, 8)], [face(8, 8, ignore=True)])])


def evaluated(data: Path, *arguments: object) -> int:
    return command.main(["--data", str(data), *map(str, arguments)])


def row(name: str, iou: float, recall: float | None, precision: float | None, pack: str = "bright") -> dict[str, Any]:
    shares = {"recall": recall, "precision": precision, "pixel_recall": None}
    return {"pack": pack, "set": name, "cls": "face", "iou": iou, **shares}


def rows(path: Path) -> list[dict[str, Any]]:
    found = json.loads(path.read_text())
    for each in found:
        assert each.pop("ms_per_image") > 0
    return list(found)


@pytest.mark.usefixtures("two_sets")
def test_rows_and_table(make_pack: Make, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "out.json"
    assert evaluated(data, "--pack", make_pack(), "--json", out) == 0
    assert rows(out) == [
        row("a/street", 0.3, 0.666667, 0.666667),
        row("a/street", 0.5, 0.333333, 0.333333),
        row("b", 0.3, 1.0, 1.0),
        row("b", 0.5, 1.0, 1.0),
    ]
    said = capsys.readouterr()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.out.splitlines() if line.startswith("|")]
    assert cells[0] == ["pack", "set", "class", "objects", "R@.3", "R@.5", "P@.3", "P@.5", "pixel recall", "ms"]
    assert cells[2][:9] == ["bright", "a/street", "face", "3", "0.667", "0.333", "0.667", "0.333", "-"]
    assert cells[4] == ["bright", "all sets", "face", "4", "0.750", "0.500", "0.750", "0.500", "-", "-"]
    assert len(cells) == 5
    assert "bright a/street: 2 pictures" in said.err


@pytest.mark.usefixtures("two_sets")
def test_the_sheet_shows_what_was_missed(
    make_pack: Make, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One face at IoU 0.3: black surroundings, its box in red in the middle, and what was found in yellow."""
    pack = make_pack()
    assert evaluated(data, "--pack", pack, "--json", tmp_path / "out.json") == 0
    assert "1 objects missed at IoU 0.3, 1 of them in" in capsys.readouterr().out
    sheet = cv2.imread(str(tmp_path / "out-misses.png"))
    assert sheet is not None
    tile = sheet[TITLE + MARGIN :, MARGIN : MARGIN + TILE][:TILE]
    ys, xs = np.nonzero((tile == RED).all(axis=2))
    scale = TILE / 48  # a 16 px face amid 48 px
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx([16 * scale, 32 * scale] * 2, abs=1)
    assert sheet[TITLE + MARGIN + TILE :].max() > 200  # the caption

    assert evaluated(data / "b", "--pack", pack, "--json", tmp_path / "out.json") == 0
    assert "nothing was missed: no sheet" in capsys.readouterr().out
    assert not (tmp_path / "out-misses.png").exists()


@pytest.mark.usefixtures("two_sets")
def test_a_sheet_has_room_for_so_many_and_says_so(make_pack: Make, make_set: Make, data: Path, tmp_path: Path) -> None:
    from evaluation.sheet import MOST, spread

    make_set("c", [([], [face(4, 4)] * 5)] * (MOST // 4))
    path = tmp_path / "sheet.png"
    assert evaluated(data, "--pack", make_pack(), "--sheet", path) == 0
    assert cv2.imread(str(path)) is not None
    misses = [f"{index}" for index in range(5 * MOST)]
    assert len(spread(misses, MOST)) == MOST  # type: ignore[arg-type]
    assert spread(misses, MOST)[::60] == misses[::300]  # type: ignore[arg-type]


@pytest.mark.usefixtures("two_sets")
def test_what_may_be_asked_for(make_pack: Make, make_set: Make, data: Path, tmp_path: Path) -> None:
    pack, out = make_pack(), tmp_path / "out.json"
    picture = make_set("dim", [([], [face(4, 4)])]) / "0.png"
    cv2.imwrite(str(picture), drawn((4, 4)) // 255 * 153)  # the network sees 0.6
    evaluated(data, "--pack", pack, "--limit", 1, "--json", out)
    assert rows(out)[0] == row("a/street", 0.3, 1.0, 1.0)
    dim = data / "dim"
    for threshold, recall in ((0.55, 1.0), (0.65, 0.0)):
        evaluated(dim, "--pack", pack, "--threshold", f"face={threshold}", "--json", out)
        assert rows(out)[0]["recall"] == recall
    evaluated(data, "--pack", pack, "--format", '{"number":[2,1]}', "--classes", "face,plate", "--json", out)
    assert {each["cls"] for each in rows(out)} == {"face"}


@pytest.mark.usefixtures("two_sets")
def test_packs_of_one_name_go_by_what_was_typed(make_pack: Make, data: Path, tmp_path: Path) -> None:
    pack, out = make_pack(), tmp_path / "out.json"
    assert evaluated(data / "b", "--pack", "bright", "--pack", pack, "--packs", pack.parent, "--json", out) == 0
    assert {each["pack"] for each in rows(out)} == {"bright", str(pack)}


@pytest.mark.usefixtures("two_sets")
def test_a_peer_beside_a_pack(make_pack: Make, data: Path, tmp_path: Path) -> None:
    """It answers as the other pack would, had it looked: one face in the middle of every picture."""
    peer, out = tmp_path / "peer.py", tmp_path / "out.json"
    found = {"cls": "face", "bbox": face(8, 8)["bbox"], "score": 1}
    peer.write_text(f"import json, sys\nfor p in sys.argv[1:]: print(json.dumps(dict(file=p, detections=[{found}])))")
    arguments = ["--pack", make_pack(), "--peer", f"mine:face={sys.executable} {peer}", "--json", out]
    assert evaluated(data, *arguments) == 0
    found_rows = json.loads(out.read_text())
    mine = [each for each in found_rows if each["pack"] == "mine"]
    assert [(each["set"], each["recall"], each["precision"]) for each in mine[::2]] == [("a/street", 0, 0), ("b", 1, 1)]
    assert {each["ms_per_image"] for each in mine} == {None}
    assert len(found_rows) == 8


def test_pixels(make_pack: Make, make_set: Make, data: Path, tmp_path: Path) -> None:
    """Half of the outline is where a face is found, and two pixels more of its 32 are the padding around it."""
    x1, y1, x2, y2 = face(8, 8)["bbox"]
    wide = [x1 - 16, y1 + 4, x2, y1 + 4, x2, y2 - 4, x1 - 16, y2 - 4]
    make_set("a", [([(8, 8)], [face(8, 8, polygons=[wide])])])
    evaluated(data, "--pack", make_pack(), "--json", tmp_path / "out.json")
    assert rows(tmp_path / "out.json")[0]["pixel_recall"] == pytest.approx(18 / 32, abs=0.04)


def test_where_there_is_nothing_to_measure_by(make_pack: Make, make_set: Make, data: Path, tmp_path: Path) -> None:
    make_set("a", [([], [])], only=["face"])
    assert evaluated(data, "--pack", make_pack(), "--json", tmp_path / "out.json") == 0
    assert rows(tmp_path / "out.json") == [row("a", 0.3, None, None), row("a", 0.5, None, None)]


@pytest.mark.usefixtures("two_sets")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give at least one --pack or --peer"),
        (["--pack", "zebra"], "no model pack named 'zebra'"),
        (["--pack", "{pack}", "--format", "round"], "--format: must be whole, auto"),
        (["--pack", "{pack}", "--classes", "zebra"], "--classes: unknown class 'zebra'"),
        (["--pack", "{pack}", "--classes", "person"], "no set here labels a class"),
        (["--pack", "{pack}", "--threshold", "face"], "--threshold: 'face': "),
        (["--pack", "{pack}", "--threshold", "face=2"], "must be 0..1"),
        (["--pack", "{pack}", "--packs", "/nowhere"], "/nowhere: not a folder"),
        (["--pack", "{pack}", "--json", "{pack}"], "cannot be written"),
        (["--pack", "{pack}", "--data", "/nowhere"], "set /nowhere: is not a folder"),
        (["--peer", "x=false"], "peer x: false ended with 1"),
    ],
)
def test_mistakes_are_one_line(
    make_pack: Make, data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    pack = str(make_pack())
    assert evaluated(data, *(each.format(pack=pack) for each in arguments)) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("hack/evaluate: ")
    assert said in last


@pytest.mark.usefixtures("two_sets")
def test_the_script(make_pack: Make, data: Path, tmp_path: Path) -> None:
    """As it is typed, with the weights in a folder `models` above the sets."""
    make_pack("bright", weights=False)
    models = tmp_path / "models"
    make_pack().rename(models)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--pack", "bright", "--data", str(data / "a")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "| bright | street " in done.stdout
    wrong = subprocess.run([sys.executable, str(SCRIPT), "--limit", "0"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
