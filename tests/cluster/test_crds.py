"""The API server gives the answers that the CRDs promise: constraints, immutability, status, selectors.

Every case of every constraint runs as a dry run; the same cases run through pydantic in tests/unit/api.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support import constraints
from support.apiserver import MODEL, SIMPLE, TASK, Api, ControlPlane, Refused, a_task, collection, connected
from support.constraints import Case
from support.specs import specs
from velum.api import AnonymizationModel, AnonymizationTask, crd
from velum.api.crd.definition import IMMUTABLE_MESSAGE, MUTABLE

TYPES = {TASK: AnonymizationTask, MODEL: AnonymizationModel}
CASES = constraints.cases()
SPEC_FIELDS = list(
    crd.build(TASK)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
)


OTHER: dict[str, Any] = {
    "source": {"url": "https://example.com/a.jpg"},
    "destination": {"prefix": "elsewhere/"},
    "filename": "other.jpg",
    "model": "other",
    "method": "blacken",
    "classes": {"face": {"thresholdPercent": 51}},
    "bbox": True,
    "ignores": [{"left": 5, "top": 5, "width": 5, "height": 5}],
    "tiling": {"mode": "auto"},
    "debug": True,
    "score": True,
    "quality": 1,
    "compressLevel": 9,
    "lossless": True,
    "gps": "strip",
    "saveMask": "none",
    "maskScalePercent": 1,
    "watermark": True,
    "webhook": {"url": "https://example.com/hook"},
    "activeDeadlineSeconds": 5,
    "backoffLimit": 5,
    "ttlSecondsAfterFinished": 5,
}
"""For each field of a task's spec, a valid value that is neither its default nor the one in SIMPLE or FULL."""


@pytest.fixture(scope="module")
def api(controlplane: ControlPlane) -> Iterator[Api]:
    with connected(controlplane) as connection:
        yield connection


@pytest.fixture(scope="module")
def stored(api: Api) -> Iterator[dict[str, dict[str, Any]]]:
    """One stored resource of each kind, for the status to belong to."""
    made = {}
    for kind in crd.KINDS:
        resource = constraints.full(kind)
        resource["metadata"] = {"name": f"constraints-{uuid.uuid4().hex}"}
        made[kind] = api.create("default", resource)
    yield made
    for kind, resource in made.items():
        api.call("DELETE", f"{collection('default', kind)}/{resource['metadata']['name']}")


class TestConstraints:
    """Each case as a dry run: status through its subresource, everything else as a creation."""

    @staticmethod
    def attempt(api: Api, stored: dict[str, dict[str, Any]], case: Case) -> dict[str, Any]:
        if not case.field.startswith("status"):
            return api.create("default", case.resource, dryRun="All")
        resource = {**stored[case.kind], "status": case.resource["status"]}
        path = f"{collection('default', case.kind)}/{resource['metadata']['name']}/status"
        return api.call("PUT", path, resource, dryRun="All")

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if case.accepted])
    def test_accepts(self, api: Api, stored: dict[str, dict[str, Any]], case: Case) -> None:
        answer = self.attempt(api, stored, case)
        part = "status" if case.field.startswith("status") else "spec"
        assert contains(answer[part], case.resource[part]), "nothing was pruned or changed"

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES if not case.accepted])
    def test_rejects_and_names_the_field(self, api: Api, stored: dict[str, dict[str, Any]], case: Case) -> None:
        with pytest.raises(Refused) as caught:
            self.attempt(api, stored, case)
        assert caught.value.names(case.field, case.words), caught.value.causes or str(caught.value)


@pytest.mark.parametrize("kind", crd.KINDS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_verdict_is_pydantic_s(api: Api, kind: str, data: st.DataObject) -> None:
    """Random specs: what SQLite users may store is what the API server takes, no more and no less."""
    resource = {**constraints.full(kind), "spec": data.draw(specs(kind))}
    del resource["status"]
    try:
        ours = TYPES[kind].model_validate(resource)
    except ValidationError:
        with pytest.raises(Refused):
            api.create("default", resource, dryRun="All")
        return
    assert TYPES[kind].model_validate(api.create("default", resource, dryRun="All")).spec == ours.spec


def contains(whole: Any, part: Any) -> bool:
    """Whether everything in `part` is in `whole`, which may have more fields."""
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


Create = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def create(api: Api) -> Iterator[Create]:
    """Stores resources under names of their own and removes them: much cheaper than a namespace for each test."""
    made: list[str] = []

    def store(resource: dict[str, Any]) -> dict[str, Any]:
        name = f"{resource['metadata']['name']}-{uuid.uuid4().hex}"
        stored = api.create("default", {**resource, "metadata": {"name": name}})
        made.append(f"{collection('default', resource['kind'])}/{name}")
        return stored

    yield store
    for path in made:
        api.call("DELETE", path)


class TestImmutability:
    def test_has_another_value_for_every_field(self) -> None:
        assert {*OTHER, *MUTABLE} == {*SPEC_FIELDS}

    @pytest.mark.parametrize("field", OTHER)
    def test_a_field_cannot_be_changed(self, api: Api, create: Create, field: str) -> None:
        resource = constraints.full(TASK)
        resource["spec"][field] = OTHER[field]
        name = create(resource)["metadata"]["name"]
        before = constraints.full(TASK)["spec"].get(field, SIMPLE.get(field))
        if before is None:  # a field with a default: taking the value away means asking for the default
            self.refuses(api, name, field, None)
        else:
            change = {**dict.fromkeys(OTHER[field]), **before} if isinstance(before, dict) else before
            self.refuses(api, name, field, change)

    @pytest.mark.parametrize("field", sorted(set(OTHER) - {"source", "classes"}))
    def test_a_field_cannot_be_added(self, api: Api, create: Create, field: str) -> None:
        name = create(a_task())["metadata"]["name"]
        self.refuses(api, name, field, OTHER[field])

    @pytest.mark.parametrize("field", sorted(set(OTHER) - {"source", "classes"}))
    def test_a_field_cannot_be_removed(self, api: Api, create: Create, field: str) -> None:
        name = create(a_task(**{field: OTHER[field]}))["metadata"]["name"]
        self.refuses(api, name, field, None)

    def test_what_lies_deep_cannot_be_changed(self, api: Api, create: Create) -> None:
        name = create(a_task(ignores=OTHER["ignores"]))["metadata"]["name"]
        self.refuses(api, name, "classes", {"face": {"gradientStopPercent": 1}})
        self.refuses(api, name, "classes", {"person": {}})
        self.refuses(api, name, "ignores", [])
        self.refuses(api, name, "source", {"object": {"key": "incoming/other.jpg"}})

    def test_suspend_can_be_changed_and_counts_as_a_generation(self, api: Api, create: Create) -> None:
        created = create(constraints.full(TASK))
        assert created["spec"]["suspend"] is False
        for generation, value in ((2, True), (3, False)):
            changed = api.patch("default", created["metadata"]["name"], {"spec": {"suspend": value}})
            assert changed["spec"] == {**created["spec"], "suspend": value}
            assert changed["metadata"]["generation"] == generation

    def test_suspend_cannot_hide_another_change(self, api: Api, create: Create) -> None:
        name = create(a_task())["metadata"]["name"]
        with pytest.raises(Refused) as caught:
            api.patch("default", name, {"spec": {"suspend": True, "quality": 1}})
        assert caught.value.names("spec.quality", IMMUTABLE_MESSAGE)

    def test_explicit_defaults_are_no_change(self, api: Api, create: Create) -> None:
        created = create(a_task())
        again = api.call("PUT", f"{collection('default', TASK)}/{created['metadata']['name']}", created)
        assert again["metadata"]["generation"] == 1

    @staticmethod
    def refuses(api: Api, name: str, field: str, change: Any) -> None:
        with pytest.raises(Refused) as caught:
            api.patch("default", name, {"spec": {field: change}})
        assert caught.value.code == 422
        assert caught.value.names(f"spec.{field}", IMMUTABLE_MESSAGE), caught.value.causes


class TestStatus:
    def test_creation_ignores_a_status(self, api: Api, namespace: str) -> None:
        created = api.create(namespace, {**a_task(), "status": {"phase": "Complete", "attempt": 7}})
        assert created.get("status", {}).get("phase", "Pending") == "Pending"
        status = api.get(namespace, "street")["status"]
        assert (status["phase"], status["attempt"]) == ("Pending", 0)

    def test_an_update_of_the_resource_ignores_a_status(self, api: Api, namespace: str) -> None:
        api.create(namespace, a_task())
        api.patch(namespace, "street", {"status": {"phase": "Complete"}})
        assert api.get(namespace, "street")["status"]["phase"] == "Pending"

    def test_a_status_write_changes_neither_spec_nor_generation(self, api: Api, namespace: str) -> None:
        created = api.create(namespace, a_task())
        written = api.patch(namespace, "street/status", {"spec": {"quality": 1}, "status": {"phase": "Running"}})
        assert written["spec"] == created["spec"]
        assert written["metadata"]["generation"] == 1
        assert written["status"]["phase"] == "Running"

    def test_a_stale_status_write_is_a_conflict(self, api: Api, namespace: str) -> None:
        """The fence of attempts rests on this."""
        version = api.create(namespace, a_task())["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version}, "status": {"attempt": 1}}
        api.patch(namespace, "street/status", change)
        with pytest.raises(Refused) as caught:
            api.patch(namespace, "street/status", {**change, "status": {"attempt": 2}})
        assert caught.value.code == 409
        assert api.get(namespace, "street")["status"]["attempt"] == 1

    def test_defaults_are_filled_in(self, api: Api, namespace: str) -> None:
        spec = api.create(namespace, a_task(classes={"face": {}, "vehicle": {}}))["spec"]
        assert spec["classes"]["face"] == {
            "thresholdPercent": 50,
            "kernelPercent": 35,
            "gradientStartPercent": 30,
            "gradientStopPercent": 0,
        }
        assert spec["classes"]["vehicle"] == {"thresholdPercent": 40, "kernelPixels": 61}
        assert spec["tiling"] == {"mode": "whole", "columns": 1, "rows": 1, "overlapX": 0, "overlapY": 0}
        assert (spec["model"], spec["method"], spec["quality"], spec["backoffLimit"]) == ("default", "blur", 90, 2)
        assert not {"destination", "filename", "webhook", "activeDeadlineSeconds"} & {*spec}

    def test_unknown_fields_are_refused_when_strict_and_pruned_when_not(self, api: Api, namespace: str) -> None:
        wrong = a_task(qualty=1)
        with pytest.raises(Refused) as caught:
            api.create(namespace, wrong)
        assert 'unknown field "spec.qualty"' in str(caught.value)
        assert "qualty" not in api.create(namespace, wrong, fieldValidation="Ignore")["spec"]


class TestSelectors:
    def names(self, api: Api, namespace: str, selector: str) -> set[str]:
        found = api.call("GET", collection(namespace, TASK), fieldSelector=selector)
        return {item["metadata"]["name"] for item in found["items"]}

    def test_phase_and_model_select(self, api: Api, namespace: str) -> None:
        """A task whose status was never written is selected as Pending.

        Nothing is stored for it, but the API server fills in defaults when it reads, and it selects after that.
        """
        api.create(namespace, a_task("never-written"))
        api.create(namespace, a_task("running", model="street"))
        api.patch_status(namespace, "running", {"phase": "Running"})
        api.create(namespace, a_task("again"))
        api.patch_status(namespace, "again", {"phase": "Running"})
        api.patch_status(namespace, "again", {"phase": "Pending"})
        assert self.names(api, namespace, "status.phase=Pending") == {"never-written", "again"}
        assert self.names(api, namespace, "status.phase=Running") == {"running"}
        assert self.names(api, namespace, "status.phase!=Running,status.phase!=Failed") == {"never-written", "again"}
        assert self.names(api, namespace, "spec.model=street,status.phase=Running") == {"running"}

    def test_other_fields_do_not(self, api: Api, namespace: str) -> None:
        with pytest.raises(Refused) as caught:
            self.names(api, namespace, "spec.method=blur")
        assert caught.value.code == 400
