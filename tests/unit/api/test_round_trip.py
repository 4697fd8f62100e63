"""What pydantic accepts survives the way to the wire and back, and means the same there."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support.constraints import full
from support.specs import specs
from velum.api import AnonymizationModel, AnonymizationTask, crd

TYPES = {"AnonymizationTask": AnonymizationTask, "AnonymizationModel": AnonymizationModel}


@pytest.mark.parametrize("kind", crd.KINDS)
@given(data=st.data())
def test_a_spec_comes_back_as_it_was(kind: str, data: st.DataObject) -> None:
    spec = data.draw(specs(kind))
    resource = {**full(kind), "spec": spec}
    try:
        parsed = TYPES[kind].model_validate(resource)
    except ValidationError:
        return
    wire = parsed.wire()
    assert TYPES[kind].model_validate(wire) == parsed
    assert contains(wire["spec"], spec)
    assert "null" not in str(wire)


@pytest.mark.parametrize("kind", crd.KINDS)
def test_the_random_specs_are_good_and_bad(kind: str) -> None:
    """The test above would say nothing if all were refused, or the cluster's comparison if all were taken."""
    verdicts = set()

    @settings(derandomize=True, max_examples=1000)
    @given(spec=specs(kind))
    def judge(spec: Any) -> None:
        try:
            TYPES[kind].model_validate({**full(kind), "spec": spec})
            verdicts.add(True)
        except ValidationError:
            verdicts.add(False)

    judge()
    assert verdicts == {True, False}


@pytest.mark.parametrize("kind", crd.KINDS)
def test_fields_that_nobody_knows_are_ignored_and_values_never_change(kind: str) -> None:
    resource = full(kind)
    resource["spec"]["fromTheFuture"] = 1
    parsed = TYPES[kind].model_validate(resource)
    assert "fromTheFuture" not in parsed.wire()["spec"]
    with pytest.raises(ValidationError, match="frozen"):
        parsed.spec = parsed.spec  # type: ignore[misc]


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)
