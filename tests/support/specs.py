"""Specs made at random from the generated schemas, good and bad ones, for the tests that compare verdicts."""

from typing import Any

from hypothesis import strategies as st

from support.constraints import PATTERNS
from velum.api import crd


def specs(kind: str) -> st.SearchStrategy[Any]:
    """Return a strategy of specs of a kind; about half of them break some constraint or rule."""
    root = crd.build(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return _values(root["properties"]["spec"])


def _values(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "object":
            return _objects(node)
        case "array":
            return st.lists(_values(node["items"]), max_size=3)
        case "boolean":
            return st.booleans()
        case "integer":
            inside = st.integers(node["minimum"], node["maximum"])
            return st.one_of(inside, inside, inside, st.sampled_from([node["minimum"] - 1, node["maximum"] + 1]))
        case _:
            good, bad = PATTERNS[node["pattern"]]
            return st.sampled_from([*good * 4, *bad])


def _objects(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    required = node.get("required", [])
    fields = {name: _values(child) for name, child in node["properties"].items()}
    return st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )
