"""The resources of our group over plain HTTP: hundreds of kubectl processes would take minutes."""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import httpx
import yaml

from velum.api import crd
from velum.api.meta import API_VERSION, GROUP, VERSION

TASK, MODEL = crd.KINDS

SIMPLE: dict[str, Any] = {"source": {"object": {"key": "incoming/street.jpg"}}, "classes": {"face": {}}}
"""The smallest spec of a task."""


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


@contextmanager
def connected(controlplane: ControlPlane) -> Iterator[Api]:
    """Connect as the admin of a control plane."""
    with over_http(controlplane.kubeconfig) as http:
        yield Api(http)


@contextmanager
def over_http(file: Path) -> Iterator[httpx.Client]:
    """Talk plain HTTP with the API server of a kubeconfig, with its token."""
    kubeconfig = yaml.safe_load(file.read_text())
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {user['token']}"}
    with httpx.Client(base_url=cluster["server"], verify=trust, headers=headers, timeout=60, trust_env=False) as http:
        yield http


def with_token(kubeconfig: Path, token: str, file: Path) -> Path:
    """Write a copy of the kubeconfig for somebody else, and return it."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    file.write_text(json.dumps(config))
    return file


def a_task(name: str = "street", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": TASK,
        "metadata": {"name": name},
        "spec": {**deepcopy(SIMPLE), **spec},
    }
