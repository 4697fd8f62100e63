"""Pydantic gives the answers that the CRDs promise: every case of every constraint, with the field's name.

The same cases run against a real API server in tests/cluster/test_crds.py.
"""

from typing import Any

import pytest
from pydantic import ValidationError

from support import constraints
from support.constraints import Case, field_of
from velum.api import AnonymizationModel, AnonymizationTask, crd

TYPES = {"AnonymizationTask": AnonymizationTask, "AnonymizationModel": AnonymizationModel}
CASES = constraints.cases()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if case.accepted])
def test_accepts(case: Case) -> None:
    resource = TYPES[case.kind].model_validate(case.resource)
    again = TYPES[case.kind].model_validate(resource.wire())
    assert again == resource


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if not case.accepted])
def test_rejects_and_names_the_field(case: Case) -> None:
    with pytest.raises(ValidationError) as caught:
        TYPES[case.kind].model_validate(case.resource)
    errors = caught.value.errors()
    assert any(field_of(error["loc"]) == case.field and case.words in error["msg"] for error in errors), errors


def test_cases_have_names_of_their_own() -> None:
    names = [case.id for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", crd.KINDS)
def test_every_field_and_rule_has_cases(kind: str) -> None:
    """The walk itself is checked by counting: each leaf is refused at least once, each rule taken and refused."""
    root = crd.build(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    ours = [case for case in CASES if case.kind == kind]
    refused = {case.field for case in ours if not case.accepted}
    for part in ("spec", "status"):
        assert set(leaves(root["properties"][part], (part,))) <= refused
    words = {case.words for case in ours if not case.accepted}
    assert set(rules(root)) <= words


def leaves(node: dict[str, Any], path: tuple[str | int, ...]) -> list[str]:
    if "properties" in node:
        return [leaf for name, child in node["properties"].items() for leaf in leaves(child, (*path, name))]
    if "items" in node:
        return leaves(node["items"], (*path, 0))
    return [field_of(path)]


def rules(node: dict[str, Any]) -> list[str]:
    own = [rule["message"] for rule in node.get("x-kubernetes-validations", []) if "oldSelf" not in rule["rule"]]
    children = [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]
    return own + [message for child in children for message in rules(child)]
