"""The CustomResourceDefinition around each schema: names, columns, selectable fields, and what may not change.

Pure: the same types give the same definition. The spec of a task is immutable but for `suspend`, because an attempt
that has started cannot follow a change, and a result must be what its spec says. That is one transition rule per
field rather than one for all, so that the refusal names the field; a field added to `TaskSpec` tomorrow is immutable
without a word here.
"""

from typing import Any

from velum.api.crd.schema import Schema, structural
from velum.api.meta import GROUP, VERSION
from velum.api.model import AnonymizationModel
from velum.api.rules import KEYWORD
from velum.api.status import Phase
from velum.api.task import AnonymizationTask

MUTABLE = frozenset({"suspend"})
"""Fields of a task's spec that may change after creation."""

IMMUTABLE_MESSAGE = "spec is immutable but for suspend"

WIDE = 1
"""Priority of a column that `kubectl get` shows with `-o wide` only."""

_TYPE_META: dict[str, Schema] = {
    "apiVersion": {"type": "string", "description": "Group and version of this representation of the object."},
    "kind": {"type": "string", "description": "The kind of the object, in CamelCase."},
    "metadata": {"type": "object"},  # filled in by the API server, which refuses any other schema for it
}

KINDS = ("AnonymizationTask", "AnonymizationModel")
"""Every kind of the group."""


def build(kind: str) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind.

    Raises:
        KeyError: `kind` is not one of KINDS.
        UnsupportedSchema: a type cannot be said in a structural schema.
    """
    return {"AnonymizationTask": _task, "AnonymizationModel": _model}[kind]()


def _task() -> dict[str, Any]:
    root = structural(AnonymizationTask)
    spec = root["properties"]["spec"]
    spec[KEYWORD] = [*spec.get(KEYWORD, []), *_immutable(spec)]
    root["properties"]["status"]["default"] = {"phase": str(Phase.PENDING)}
    return _definition(
        "AnonymizationTask",
        short_names=["anontask", "anontasks"],
        root=root,
        columns=[
            _column("Phase", ".status.phase", "One word for where the task stands."),
            _column("Media", ".status.mediaType", "Type of the source, by its bytes."),
            _column("Model", ".spec.model", "The AnonymizationModel that serves the task."),
            _column("Progress", ".status.progressPercent", "Percent of the work done.", type="integer"),
            _column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            _column("Method", ".spec.method", "What is done to objects.", priority=WIDE),
            _column("Attempt", ".status.attempt", "The last attempt started.", type="integer", priority=WIDE),
            _column("Finished", ".status.finishedAt", "Time since the end.", type="date", priority=WIDE),
            _column("Reason", ".status.reason", "Why, as one word.", priority=WIDE),
            _column("Message", ".status.message", "Why, for people.", priority=WIDE),
        ],
        selectable=[".status.phase", ".spec.model"],
    )


def _model() -> dict[str, Any]:
    root = structural(AnonymizationModel)
    root["properties"]["status"]["default"] = {}
    return _definition(
        "AnonymizationModel",
        short_names=["anonmodel", "anonmodels"],
        root=root,
        columns=[
            _column(
                "Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether replicas run, or start on demand."
            ),
            _column("Replicas", ".status.replicas", "Replicas running now.", type="integer"),
            _column("Packs", ".spec.packs", "Model packs whose detectors are used."),
            _column("Age", ".metadata.creationTimestamp", "Time since creation.", type="date"),
            _column("Classes", ".spec.classes", "Classes of objects it finds.", priority=WIDE),
            _column("GPU", ".spec.gpuPercent", "Percent of a GPU per replica.", type="integer", priority=WIDE),
            _column("Message", ".status.message", "What Ray Serve last said.", priority=WIDE),
        ],
        selectable=[],
    )


def _immutable(spec: Schema) -> list[dict[str, str]]:
    """Return one transition rule for each field of the spec that may not change."""
    always = {*spec["required"], *(name for name, field in spec["properties"].items() if "default" in field)}
    return [
        {
            "rule": _same(name) if name in always else _same_or_both_absent(name),
            "message": IMMUTABLE_MESSAGE,
            "fieldPath": f".{name}",
        }
        for name in spec["properties"]
        if name not in MUTABLE
    ]


def _same(name: str) -> str:
    return f"self.{name} == oldSelf.{name}"


def _same_or_both_absent(name: str) -> str:
    return f"has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || {_same(name)})"


def _column(name: str, path: str, description: str, *, type: str = "string", priority: int = 0) -> dict[str, Any]:  # noqa: A002  # the field's name
    column = {"name": name, "type": type, "jsonPath": path, "description": description}
    return {**column, "priority": priority} if priority else column


def _definition(
    kind: str, *, short_names: list[str], root: Schema, columns: list[dict[str, Any]], selectable: list[str]
) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    root["properties"].update(_TYPE_META)
    root["required"] = ["spec"]
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": root},
    }
    if selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "singular": kind.lower(),
                "plural": plural,
                "shortNames": short_names,
                "categories": ["velum"],
            },
            "versions": [version],
        },
    }
