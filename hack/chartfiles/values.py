"""values.yaml with its comments: what README and schema are made of.

A comment stands in the lines right above a key, and describes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Entry:
    """One key: where it is, what is said about it, what it is by default. `leaf`: nothing below it is described."""

    path: tuple[str, ...]
    comment: str
    value: Any
    leaf: bool

    @property
    def dotted(self) -> str:
        """The path as `--set` takes it."""
        return ".".join(self.path)


def entries(text: str) -> Iterator[Entry]:
    """Yield every key in the file's order, a mapping before what is in it."""
    lines = text.splitlines()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _below(root, (), lines)


def _below(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str]) -> Iterator[Entry]:
    for key, value in node.value:
        here = (*path, key.value)
        comment = _comment(lines, key.start_mark.line)
        described = isinstance(value, yaml.MappingNode) and any(
            _comment(lines, inner.start_mark.line) for inner, _ in _all(value)
        )
        plain = yaml.safe_load(yaml.serialize(value, Dumper=yaml.SafeDumper))
        yield Entry(here, comment, plain, leaf=not described)
        if described:
            yield from _below(value, here, lines)


def _all(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    for key, value in node.value:
        yield key, value
        if isinstance(value, yaml.MappingNode):
            yield from _all(value)


def _comment(lines: list[str], line: int) -> str:
    found: list[str] = []
    for above in reversed(lines[:line]):
        stripped = above.strip()
        if not stripped.startswith("#"):
            break
        found.append(stripped.removeprefix("#").strip())
    return " ".join(reversed(found))
