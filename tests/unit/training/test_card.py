"""docs/models/velum-street.md names what the weights were made from."""

from __future__ import annotations

import re
from pathlib import Path

from training.command import STEPS
from training.labels.sources import REFUSED, SOURCES, left_out

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
    assert re.findall(r"\$ hack/train (\w+)", CARD) == list(STEPS)


def test_its_links_lead_somewhere() -> None:
    folder = ROOT / "docs" / "models"
    for link in re.findall(r"\]\(([^)#]+)\)", CARD):
        assert (folder / link).exists(), link
