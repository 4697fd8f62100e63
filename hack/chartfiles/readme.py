"""The chart's README: what there is to know before `helm install`, and a table of all values."""

import json
from pathlib import Path
from typing import Any

from .values import Entry

INTRODUCTION = Path(__file__).with_name("introduction.md")
LONGEST_DEFAULT = 60
"""Characters of a default that are shown; longer ones are in values.yaml."""


def document(entries: list[Entry]) -> str:
    """Return the README as Markdown."""
    rows = [f"| `{each.dotted}` | {_default(each.value)} | {_cell(each.comment)} |" for each in entries if each.leaf]
    lines = ["| value | default | what it is |", "|---|---|---|", *rows]
    return f"{INTRODUCTION.read_text()}\n" + "\n".join(lines) + "\n"


def _default(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{_cell(text)}`" if len(text) <= LONGEST_DEFAULT else "see [values.yaml](values.yaml)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
