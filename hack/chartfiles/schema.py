"""values.schema.json: strict, so that a mistyped key is an error that names it.

Types follow from the defaults in values.yaml. What they do not tell is in RULES, by path; the specs of models come from
their resource type, the settings from the program's own.
"""

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

from pydantic_settings import BaseSettings

from velum.api import crd
from velum.settings import Settings

from .values import Entry

Schema = dict[str, Any]

SIZE: Schema = {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?$"}
STRINGS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
NAMES: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
PORTS: Schema = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}}
DNS_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def strict(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """An object of these properties and no others."""
    found: Schema = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    return {**found, "required": list(required)} if required else found


QUANTITIES: Schema = {"type": "object", "additionalProperties": {"type": ["string", "integer", "number"]}}
RESOURCES = strict({"requests": QUANTITIES, "limits": QUANTITIES})
ENVIRONMENT: Schema = {
    "type": "array",
    "items": strict(
        {"name": {"type": "string"}, "value": {"type": "string"}, "valueFrom": {"type": "object"}}, ["name"]
    ),
}
TOLERATIONS: Schema = {
    "type": "array",
    "items": strict(
        {
            "key": {"type": "string"},
            "operator": {"enum": ["Exists", "Equal"]},
            "value": {"type": "string"},
            "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
            "tolerationSeconds": {"type": "integer"},
        }
    ),
}
COUNT: Schema = {"type": "integer", "minimum": 0}
SPREAD = strict(
    {
        "topologyKey": {"type": "string", "minLength": 1},
        "maxSkew": {"type": "integer", "minimum": 1},
        "whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
        "nodeTaintsPolicy": {"enum": ["Honor", "Ignore"]},
    },
    ["topologyKey"],
)
WORKER_GROUP = strict(
    {
        "name": {"type": "string", "pattern": DNS_LABEL, "maxLength": 40},
        "replicas": COUNT,
        "minReplicas": COUNT,
        "maxReplicas": COUNT,
        "resources": RESOURCES,
        "gpu": strict(
            {
                "resource": {"type": "string", "pattern": r"^[a-z0-9.-]+/[A-Za-z0-9.-]+$"},
                "count": {"type": "integer", "minimum": 1},
            }
        ),
        "image": strict({"repository": {"type": "string"}, "tag": {"type": "string"}}, ["repository"]),
        "nodeSelector": STRINGS,
        "tolerations": TOLERATIONS,
        "affinity": {"type": "object"},
        "topologySpread": {"oneOf": [{"type": "boolean"}, {"type": "array", "items": SPREAD}]},
        "runtimeClassName": {"type": "string"},
        "priorityClassName": {"type": "string"},
        "shmSize": SIZE,
        "scratchSize": SIZE,
        "idleTimeoutSeconds": COUNT,
        "podAnnotations": STRINGS,
        "extraEnv": ENVIRONMENT,
    },
    ["name"],
)
RULES: dict[str, Schema] = {
    "images.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "images.pullSecrets": {"type": "array", "items": strict({"name": {"type": "string"}}, ["name"])},
    "storage.type": {"enum": ["claim", "s3"]},
    "storage.claim.accessModes": {
        "type": "array",
        "minItems": 1,
        "items": {"enum": ["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]},
    },
    "storage.s3.input": {"type": "string", "pattern": "^$|^s3://"},
    "storage.s3.output": {"type": "string", "pattern": "^$|^s3://"},
    "storage.s3.endpoint": {"type": "string", "pattern": "^$|^https?://"},
    "modelPacks.fetch": NAMES,
    "modelPacks.manifests": {**STRINGS, "propertyNames": {"pattern": DNS_LABEL}},
    "ingress.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "ingress.service.ipFamilyPolicy": {"enum": ["", "SingleStack", "PreferDualStack", "RequireDualStack"]},
    "ingress.service.ipFamilies": {"type": "array", "maxItems": 2, "items": {"enum": ["IPv4", "IPv6"]}},
    "ingress.service.nodePort": {"type": ["integer", "null"]},
    "ingress.topologySpread.whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
    "ingress.podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "expose.ingress.hosts": NAMES,
    "expose.httpRoute.hostnames": NAMES,
    "expose.httpRoute.timeouts": strict({"request": {"type": "string"}, "backendRequest": {"type": "string"}}),
    "ray.mode": {"enum": ["kuberay", "external"]},
    "ray.version": {"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
    "ray.external.*": {"type": "string"},
    "ray.authMode": {"enum": ["token", "disabled"]},
    "ray.autoscaler.upscalingMode": {"enum": ["Conservative", "Default", "Aggressive"]},
    "ray.workerGroups": {"type": "array", "items": WORKER_GROUP},
    "networkPolicy.*Ports": PORTS,
    "uninstall.tasks": {"enum": ["keep", "delete"]},
    "kuberay": {"type": "object", "properties": {"enabled": {"type": "boolean"}}},
    "monitoring.prometheusRule.disabled": NAMES,
    "*.logLevel": {"enum": ["debug", "info", "warning", "error"]},
    "*.resources": RESOURCES,
    "*.extraEnv": ENVIRONMENT,
    "*.tolerations": TOLERATIONS,
    "*.affinity": {"type": "object"},
    "*[sS]ize": SIZE,
    "*[sS]izeLimit": SIZE,
}
"""Schemas by path; the first that fits counts."""

OURS: Mapping[str, frozenset[str]] = {
    "storage": frozenset({"*"}),
    "serving": frozenset({"*"}),
    "api": frozenset({"host", "port", "metrics_port", "grace_seconds", "tls_cert", "tls_key"}),
    "webhook": frozenset({"secret"}),
    "controller": frozenset({"namespace", "metrics_port"}),
}
"""Settings that the chart makes itself, or that belong into a Secret."""


def document(entries: list[Entry]) -> str:
    """Return the schema of these values as JSON."""
    root = strict({})
    for entry in entries:
        parent = root
        for key in entry.path[:-1]:
            parent = parent["properties"][key]
        found = {**_schema(entry), **({"description": entry.comment} if entry.comment else {})}
        parent["properties"][entry.path[-1]] = found
    root["properties"]["global"] = {"type": "object", "description": "What Helm hands to all charts."}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart velum"}
    return json.dumps({**head, **root}, indent=2, ensure_ascii=False) + "\n"


def _schema(entry: Entry) -> Schema:
    if entry.dotted == "models":
        names = {"pattern": DNS_LABEL, "maxLength": 63}
        spec = _model_spec()
        return {"type": "object", "propertyNames": names, "additionalProperties": {"anyOf": [spec, {"type": "null"}]}}
    if entry.dotted == "settings":
        return _settings()
    for pattern, rule in RULES.items():
        if fnmatchcase(entry.dotted, pattern):
            return rule
    return strict({}) if not entry.leaf else _by_default(entry)


def _by_default(entry: Entry) -> Schema:
    match entry.value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return OBJECTS
        case dict():
            return STRINGS
    raise ValueError(f"values.yaml: {entry.dotted}: the default tells no type; add a rule")


def _model_spec() -> Schema:
    version = crd.build("AnonymizationModel")["spec"]["versions"][0]
    return _closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def _closed(schema: Schema) -> Schema:
    """A structural schema without what only the API server knows, and closed to other properties."""
    found = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-") and key != "default"}
    if "properties" in found:
        found["properties"] = {key: _closed(value) for key, value in found["properties"].items()}
        found["additionalProperties"] = False
    if "items" in found:
        found["items"] = _closed(found["items"])
    return found


def _settings() -> Schema:
    groups: dict[str, Schema] = {}
    for name, field in Settings.model_fields.items():
        kept = cast(type[BaseSettings], field.annotation).model_json_schema()["properties"]
        hidden = OURS.get(name, frozenset())
        if "*" not in hidden:
            plain = {key: _plain(value) for key, value in kept.items() if key not in hidden}
            groups[name] = strict(plain)
    return strict(groups)


def _plain(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in {"default", "title"}}
