"""docs/models/velum-street.md names what the weights were made from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from training.command import STEPS
from training.labels.hand import read_set
from training.labels.sources import REFUSED, SOURCES, left_out
from training.outlines.masks import decoded

ROOT = Path(__file__).resolve().parents[3]
CARD = (ROOT / "docs" / "models" / "velum-street.md").read_text()
ROWS = {cells[1]: cells for line in CARD.splitlines() if len(cells := [c.strip() for c in line.split("|")]) == 8}


def test_every_set_stands_in_it_with_its_licence() -> None:
    for source in SOURCES:
        assert source.licence in ROWS[source.name][3], source.name
        assert re.findall(r"@[0-9a-f]{8}", source.address)[0] in ROWS[source.name][2], source.name


def test_no_set_stands_in_it_that_is_not_used() -> None:
    assert set(ROWS) - {"set", "---"} == {source.name for source in SOURCES}
    for refused in REFUSED:
        assert f"`{refused.name}`" in CARD


def test_it_says_how_many_pictures_were_left_out() -> None:
    count = sum(len(files) for files in left_out().values())
    assert f" {count} pictures in them that carry the mark" in CARD


def test_every_step_is_shown_in_order() -> None:
    shown = re.findall(r"\$ hack/train (\w+)", CARD)
    assert list(dict.fromkeys(shown)) == list(STEPS)
    assert shown == sorted(shown, key=list(STEPS).index)


def test_its_links_lead_somewhere() -> None:
    folder = ROOT / "docs" / "models"
    for link in re.findall(r"\]\(([^)#]+)\)", CARD):
        assert (folder / link).exists(), link


def test_the_annotations_that_it_shows_are_read(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```json\n(.+?)```", CARD, re.S)
    (picture,) = json.loads(shown)
    (tmp_path / "own" / "images").mkdir(parents=True)
    Image.new("RGB", (picture["width"], picture["height"])).save(tmp_path / "own" / "images" / picture["file"])
    (tmp_path / "own" / "annotations.json").write_text(shown)
    (read,) = read_set(tmp_path, "own")
    assert [item.cls for item in read.objects] == ["person", "vehicle", "license-plate"]
    mask = picture["objects"][1]["mask"]
    rows, columns = np.nonzero(decoded(mask["size"], mask["counts"]))
    x1, y1, x2, y2 = read.objects[1].bbox
    assert columns.min() >= x1
    assert rows.min() >= y1
    assert columns.max() < x2
    assert rows.max() < y2
