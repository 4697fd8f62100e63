"""Query strings of the contract: names with `-` or `_`, empty values mean the default, unknown names are refused."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from velum.errors import InvalidInput
from velum_ingress.parameters.values import shown


def collect(
    pairs: Iterable[tuple[str, str]],
    readers: Mapping[str, Callable[[str, str], Any]],
    aliases: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the values that were given, by the contract's names.

    Args:
        pairs: names and values as the query string has them.
        readers: accepted name → what makes a value of its text.
        aliases: other spelling → accepted name.

    Raises:
        InvalidInput: a name is unknown, a value cannot be accepted, or a parameter has two that differ. `true` and
            `TRUE` are the same value.
    """
    names = {name: name for name in readers} | (aliases or {})
    found: dict[str, Any] = {}
    for given, text in pairs:
        name = names.get(given.replace("_", "-"))
        if name is None:
            raise InvalidInput(_bounded(given), f"no such parameter{_suggestion(given, names)}")
        if not text.strip():
            continue
        value = readers[name](name, text)
        if found.setdefault(name, value) != value:
            raise InvalidInput(name, "given twice, with different values")
    return found


def _suggestion(given: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(given.replace("_", "-").lower()[:64], list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _bounded(given: str) -> str:
    return given if len(given) <= 64 and given.isprintable() else shown(given)
