"""kubectl shows the resources well: columns, categories, wait, explain."""

from collections.abc import Iterator
from typing import Any

import pytest

from support import constraints
from support.apiserver import MODEL, Api, ControlPlane, a_task, collection, connected
from velum.api import crd
from velum.api.meta import API_VERSION

DONE = {"type": "Complete", "status": "True", "reason": "Anonymized", "lastTransitionTime": constraints.NOW}


@pytest.fixture(scope="module")
def api(controlplane: ControlPlane) -> Iterator[Api]:
    with connected(controlplane) as connection:
        yield connection


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
