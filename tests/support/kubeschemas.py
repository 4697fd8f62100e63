"""JSON schemas for kubeconform, closed to unknown fields: of Kubernetes' own kinds, out of the description in its Go
module, and of resource types, out of their definitions. No network is needed once the modules are there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from localplane.errors import LocalPlaneError
from localplane.gomodules import fetched
from support import helmchart

Json = dict[str, Any]
PREFIX = "#/definitions/"
MONITORING = ("podmonitors", "prometheusrules", "servicemonitors")
FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SPECIAL: dict[str, Json] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    # A schema of schemas refers to itself; the API server judges these (tests/cluster/test_crds.py).
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps": FREE,
}


class NoSchemas(Exception):
    """The description cannot be had here; the text says why."""


def module(path: str, pinned: Path) -> Path:
    """Where Go keeps a module of the version that a go.mod pins. Raises NoSchemas."""
    try:
        return fetched(path, os.environ, pinned)
    except LocalPlaneError as error:
        raise NoSchemas(str(error)) from error


def write(folder: Path) -> str:
    """Write the schemas of all kinds that the chart makes; return the location as kubeconform takes it."""
    tools = helmchart.ROOT / "hack" / "gotools"
    kubernetes = module("k8s.io/kubernetes", tools / "kubernetes")
    described = json.loads((kubernetes / "api" / "openapi-spec" / "swagger.json").read_text())["definitions"]
    for definition in described.values():
        for kind in definition.get("x-kubernetes-group-version-kind", ()):
            if "properties" in definition and len(definition["x-kubernetes-group-version-kind"]) == 1:
                _put(folder, kind["kind"], kind["group"], kind["version"], _closed(definition, described))
    kuberay = module("github.com/ray-project/kuberay/ray-operator", tools / "kuberay") / "config" / "crd" / "bases"
    gateway = module("sigs.k8s.io/gateway-api", tools / "gateway") / "config" / "crd" / "standard"
    prometheus = module("github.com/prometheus-operator/prometheus-operator", tools / "prometheus")
    monitoring = prometheus / "example" / "prometheus-operator-crd"
    files = [*kuberay.glob("*.yaml"), gateway / "gateway.networking.k8s.io_httproutes.yaml"]
    files += [monitoring / f"monitoring.coreos.com_{kinds}.yaml" for kinds in MONITORING]
    for file in [*files, *(helmchart.ROOT / "crds").glob("*.yaml")]:
        _put_custom(folder, helmchart.parsed(file.read_text()))
    return str(folder / "{{ .ResourceKind }}{{ .KindSuffix }}.json")


def yaml_of(objects: Iterable[Json]) -> str:
    """Objects as the documents that kubeconform reads."""
    return yaml.safe_dump_all(objects)


def _put_custom(folder: Path, definition: Json) -> None:
    spec = definition["spec"]
    for version in spec["versions"]:
        _put(
            folder,
            spec["names"]["kind"],
            spec["group"],
            version["name"],
            _closed(version["schema"]["openAPIV3Schema"], {}),
        )


def _put(folder: Path, kind: str, group: str, version: str, schema: Json) -> None:
    suffix = f"-{group.split('.', maxsplit=1)[0]}-{version}" if group else f"-{version}"
    (folder / f"{kind.lower()}{suffix.lower()}.json").write_text(json.dumps(schema))


def _closed(schema: Json, described: Json, *, top: bool = True) -> Json:
    """The schema with its references put in, and closed."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(PREFIX)
        return SPECIAL.get(name) or _closed(described[name], described, top=False)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["string", "integer"]}
    found = {key: value for key, value in schema.items() if key in {"type", "enum", "pattern", "required"}}
    if "properties" in schema:
        found["properties"] = {key: _closed(each, described, top=False) for key, each in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found["additionalProperties"] = False
    if top and "properties" in found and found["properties"].get("metadata") == {"type": "object"}:
        found["properties"]["metadata"] = FREE
    if "items" in schema:
        found["items"] = _closed(schema["items"], described, top=False)
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _closed(schema["additionalProperties"], described, top=False)
    return found
