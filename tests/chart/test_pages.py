"""The pages about clusters speak of values, settings and places that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.helmchart import CHART, ROOT
from velum.settings import Settings

DOCS = ROOT / "docs"
PAGES = [DOCS / "operations.md", *sorted((DOCS / "operations").glob("*.md")), *sorted((DOCS / "alerts").glob("*.md"))]
NAME = re.compile(r"`([a-zA-Z]+(?:\.[a-zA-Z_]+)+)(?:=[^`]*|: [^`]*)?`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def values() -> set[str]:
    from chartfiles import values as read

    named = {each.dotted for each in read.entries((CHART / "values.yaml").read_text())}
    return named | {name.rpartition(".")[0] for name in named}


def settings() -> set[str]:
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {f"{name}.{each}" for name, group in groups.items() for each in group.model_fields}  # type: ignore[union-attr]


def anchors(page: Path) -> Iterator[str]:
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield words.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
class TestPages:
    def test_values_and_settings_exist(self, page: Path) -> None:
        known, ours = values(), settings()
        roots = {name.partition(".")[0] for name in known}
        groups = {name.partition(".")[0] for name in ours}
        wrong = []
        for name in NAME.findall(page.read_text()):
            root = name.partition(".")[0]
            plain = name.removeprefix("settings.")
            if root == "settings":
                wrong += [name] if plain not in ours and plain not in groups else []
            elif root in roots | groups:
                wrong += [name] if name not in known | ours else []
        assert wrong == []

    def test_links_lead_somewhere(self, page: Path) -> None:
        for link in LINK.findall(page.read_text()):
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in set(anchors(target)), link
