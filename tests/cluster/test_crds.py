"""The API server gives the answers that the CRDs promise, and kubectl shows the resources well.

Every case of every constraint runs as a dry run, straight over HTTP: 700 kubectl processes would take minutes.
"""

import base64
import json
import ssl
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support import constraints
from support.constraints import Case
from support.specs import specs
from velum.api import AnonymizationModel, AnonymizationTask, crd
from velum.api.crd.definition import IMMUTABLE_MESSAGE, MUTABLE
from velum.api.meta import API_VERSION, GROUP, VERSION

TASK, MODEL = crd.KINDS
TYPES = {TASK: AnonymizationTask, MODEL: AnonymizationModel}
CASES = constraints.cases()
SPEC_FIELDS = list(
    crd.build(TASK)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
)

SIMPLE: dict[str, Any] = {"source": {"object": {"key": "incoming/street.jpg"}}, "classes": {"face": {}}}

OTHER: dict[str, Any] = {
    "source": {"url": "https://example.com/a.jpg"},
    "destination": {"prefix": "elsewhere/"},
    "filename": "other.jpg",
    "model": "other",
    "method": "blacken",
    "classes": {"face": {"thresholdPercent": 51}},
    "bbox": True,
    "ignores": [{"x": 5, "y": 5, "width": 5, "height": 5}],
    "tiling": {"mode": "auto"},
    "debug": True,
    "score": True,
    "quality": 1,
    "compressLevel": 9,
    "saveMask": "none",
    "maskScalePercent": 1,
    "watermark": True,
    "webhook": {"url": "https://example.com/hook"},
    "activeDeadlineSeconds": 5,
    "backoffLimit": 5,
    "ttlSecondsAfterFinished": 5,
}
"""For each field of a task's spec, a valid value that is neither its default nor the one in SIMPLE or FULL."""


class ControlPlane(Protocol):
    """What these tests use of the fixture in conftest.py."""

    kubeconfig: Path

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> str: ...

    def try_kubectl(self, *args: str | Path, stdin: str | None = None) -> Any: ...


class Refused(AssertionError):
    """The API server said no; `causes` are its field errors."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["message"])
        self.code: int = answer["code"]
        self.causes: list[dict[str, str]] = answer.get("details", {}).get("causes", [])

    def names(self, field: str, words: str = "") -> bool:
        """Whether one of the causes is about this field (or an element of it) and has these words."""
        fields = (cause.get("field", "").replace("<nil>", "") for cause in self.causes)
        return any(
            (found == field or found.startswith(f"{field}[") or not field) and words in cause["message"]
            for found, cause in zip(fields, self.causes, strict=True)
        )


class Api:
    """The resources of our group, over plain HTTP."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, method: str, path: str, body: Any = None, merge: bool = False, **query: str) -> dict[str, Any]:
        """Call the API server below our group; strict about unknown fields. Raises Refused."""
        content = "application/merge-patch+json" if merge else "application/json"
        strict = {} if method in {"GET", "DELETE"} else {"fieldValidation": "Strict"}
        answer = self._http.request(
            method,
            f"/apis/{GROUP}/{VERSION}/{path}",
            params=strict | query,
            headers={"Content-Type": content},
            content=None if body is None else json.dumps(body),
        )
        parsed: dict[str, Any] = answer.json()
        if not answer.is_success:
            raise Refused(parsed)
        return parsed

    def create(self, namespace: str, resource: dict[str, Any], **query: str) -> dict[str, Any]:
        return self.call("POST", collection(namespace, resource["kind"]), resource, **query)

    def patch(self, namespace: str, name: str, change: dict[str, Any], **query: str) -> dict[str, Any]:
        return self.call("PATCH", f"{collection(namespace, TASK)}/{name}", change, merge=True, **query)

    def patch_status(self, namespace: str, name: str, status: dict[str, Any], **query: str) -> dict[str, Any]:
        return self.patch(namespace, f"{name}/status", {"status": status}, **query)

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return self.call("GET", f"{collection(namespace, TASK)}/{name}")


def collection(namespace: str, kind: str) -> str:
    return f"namespaces/{namespace}/{kind.lower()}s"


@pytest.fixture(scope="module")
def api(controlplane: ControlPlane) -> Iterator[Api]:
    kubeconfig = yaml.safe_load(controlplane.kubeconfig.read_text())
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {user['token']}"}
    with httpx.Client(base_url=cluster["server"], verify=trust, headers=headers, timeout=60) as http:
        yield Api(http)


def a_task(name: str = "street", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": TASK,
        "metadata": {"name": name},
        "spec": {**deepcopy(SIMPLE), **spec},
    }


DONE = {"type": "Complete", "status": "True", "reason": "Anonymized", "lastTransitionTime": constraints.NOW}


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


class TestKubectl:
    @pytest.fixture
    def ended(self, api: Api, namespace: str) -> str:
        """The namespace, with a task that has ended and a model that is ready."""
        api.create(namespace, a_task(method="pixelate"))
        status = {
            "phase": "Complete",
            "conditions": [DONE],
            "mediaType": "image/jpeg",
            "progressPercent": 100,
            "attempt": 3,
            "reason": "Anonymized",
            "message": "4 faces",
            "finishedAt": constraints.NOW,
        }
        api.patch_status(namespace, "street", status)
        spec = {"packs": ["centerface", "street"], "classes": ["face", "person"], "gpuPercent": 50}
        model = {"apiVersion": API_VERSION, "kind": MODEL, "metadata": {"name": "street"}, "spec": spec}
        api.create(namespace, model)
        path = f"{collection(namespace, MODEL)}/street/status"
        api.call("PATCH", path, {"status": {"replicas": 2, "conditions": [constraints.CONDITION]}}, merge=True)
        return namespace

    @staticmethod
    def table(text: str) -> list[list[str]]:
        return [line.split() for line in text.splitlines()]

    def test_get_shows_tasks(self, controlplane: ControlPlane, ended: str) -> None:
        heads, row = self.table(controlplane.kubectl("get", "anontask", "-n", ended))
        assert heads == ["NAME", "PHASE", "MEDIA", "MODEL", "PROGRESS", "AGE"]
        assert row[:5] == ["street", "Complete", "image/jpeg", "default", "100"]

    def test_get_wide_shows_why(self, controlplane: ControlPlane, ended: str) -> None:
        heads, row = self.table(controlplane.kubectl("get", "anontasks", "-n", ended, "-o", "wide"))
        assert heads[6:] == ["METHOD", "ATTEMPT", "FINISHED", "REASON", "MESSAGE"]
        assert row[6:8] == ["pixelate", "3"]
        assert row[8] not in {"<invalid>", "<unknown>"}, "a time with microseconds is understood"
        assert row[9:] == ["Anonymized", "4", "faces"]

    def test_get_shows_models(self, controlplane: ControlPlane, ended: str) -> None:
        heads, row = self.table(controlplane.kubectl("get", "anonmodel", "-n", ended))
        assert heads == ["NAME", "READY", "REPLICAS", "PACKS", "AGE"]
        assert row[:4] == ["street", "True", "2", '["centerface","street"]']
        heads, row = self.table(controlplane.kubectl("get", "anonmodels", "-n", ended, "-o", "wide"))
        assert heads[5:] == ["CLASSES", "GPU", "MESSAGE"]
        assert row[5:7] == ['["face","person"]', "50"]

    def test_the_category_shows_both(self, controlplane: ControlPlane, ended: str) -> None:
        names = controlplane.kubectl("get", "velum", "-n", ended, "-o", "name").split()
        assert sorted(names) == ["anonymizationmodel.velum.dev/street", "anonymizationtask.velum.dev/street"]

    def test_wait_returns_for_a_condition(self, controlplane: ControlPlane, ended: str) -> None:
        controlplane.kubectl("wait", "anontask/street", "-n", ended, "--for=condition=Complete", "--timeout=30s")
        controlplane.kubectl("wait", "anonmodel/street", "-n", ended, "--for=condition=Ready", "--timeout=30s")
        waited = controlplane.try_kubectl(
            "wait", "anontask/street", "-n", ended, "--for=condition=Failed", "--timeout=1s"
        )
        assert waited.returncode != 0, "a condition that does not hold is waited for"

    @pytest.mark.parametrize("kind", crd.KINDS)
    def test_explain_describes_every_field(self, controlplane: ControlPlane, kind: str) -> None:
        root = crd.build(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            resource = f"{kind.lower()}s.{part}"
            shown = controlplane.kubectl("explain", f"--api-version={API_VERSION}", "--recursive", resource)
            lines = {line.split()[0] for line in shown.splitlines() if "\t<" in line}
            assert set(properties(root["properties"][part])) <= lines
            flat = controlplane.kubectl("explain", f"--api-version={API_VERSION}", resource)
            words = " ".join(flat.split())
            for name, field in root["properties"][part]["properties"].items():
                assert field["description"] in words, name

    def test_the_short_names_are_explained_too(self, controlplane: ControlPlane) -> None:
        assert "Private, loopback and link-local" in controlplane.kubectl("explain", "anontask.spec.source.url")
        assert "Kernel size in pixels; odd." in controlplane.kubectl(
            "explain", "anontask.spec.classes.person.kernelPixels"
        )
        assert "Most replicas at a time." in controlplane.kubectl("explain", "anonmodel.spec.scale.maxReplicas")


def properties(node: dict[str, Any]) -> Iterator[str]:
    """Yield the name of every field below, at any depth."""
    for name, child in node.get("properties", {}).items():
        yield name
        yield from properties(child)
    if "items" in node:
        yield from properties(node["items"])
