"""Pure functions that make what is sent: objects, patches, selectors."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from velum.api.meta import API_VERSION, FINALIZER, rfc3339
from velum.api.status import Phase
from velum.api.task import AnonymizationTask, TaskSpec
from velum.tasks.secret import secret_name
from velum.tasks.store import SecretHeader

Json = dict[str, Any]

NOTE_LENGTH = 1024
"""The longest note that events.k8s.io/v1 takes."""

HEADER_KEYS = ("name", "value")
"""Keys of a webhook's Secret: the header's name and its value."""


def task(name: str, spec: TaskSpec, labels: dict[str, str]) -> Json:
    """Return a new task, with its finalizer from the first moment on."""
    return {
        "apiVersion": API_VERSION,
        "kind": "AnonymizationTask",
        "metadata": {"name": name, "labels": labels, "finalizers": [FINALIZER]},
        "spec": spec.wire(),
    }


def secret(owner: AnonymizationTask, header: SecretHeader) -> Json:
    """Return the Secret of this task's webhook, owned by the task: garbage collection takes it at the latest."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(owner.name), "ownerReferences": [_owner(owner)]},
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(zip(HEADER_KEYS, (header.name, header.value), strict=True)),
    }


def owned_by(child: Json, owner: str, uid: str | None = None) -> bool:
    """Tell whether a task of this name, and with this uid if one is given, owns the object."""
    return any(
        reference.get("kind") == "AnonymizationTask"
        and reference.get("name") == owner
        and uid in (None, reference.get("uid"))
        for reference in child["metadata"].get("ownerReferences", ())
    )


def _owner(owner: AnonymizationTask) -> Json:
    return {"apiVersion": API_VERSION, "kind": owner.kind, "name": owner.name, "uid": owner.metadata.uid}


def event(
    about: AnonymizationTask,
    kind: Literal["Normal", "Warning"],
    reason: str,
    message: str,
    *,
    name: str,
    instance: str,
    now: datetime,
) -> Json:
    """Return an event about the task, as `kubectl describe` shows it."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name},
        "eventTime": rfc3339(now),
        "type": kind,
        "reason": reason,
        "action": "Reconcile",
        "note": _shortened(message),
        "regarding": {**_owner(about), "namespace": about.metadata.namespace},
        "reportingController": "velum.dev/controller",
        "reportingInstance": instance[:128],
    }


def _shortened(text: str) -> str:
    """Return the text in at most NOTE_LENGTH bytes, which is how the server counts."""
    return text.encode()[:NOTE_LENGTH].decode(errors="ignore")


def merge_patch(old: Json, new: Json) -> Json:
    """Return the JSON merge patch (RFC 7386) that makes `new` of `old`, and leaves what neither of them knows.

    In a merge patch an absent field means "keep", so fields that disappeared are named with null: else the masks of
    one result would live on in the next. Fields that a newer version wrote are in neither, and stay.
    """
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        patch[key] = merge_patch(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return patch


def phase_selector(phases: Collection[Phase]) -> str:
    """Return the field selector that keeps tasks in these phases; empty for all.

    Selectors know only "and" and "not", so the other phases are excluded. A task that the controller has not seen yet
    has an empty phase; it counts as Pending.
    """
    if not phases:
        return ""
    unwanted = [str(phase) for phase in Phase if phase not in phases]
    if Phase.PENDING not in phases:
        unwanted.append("")
    return ",".join(f"status.phase!={phase}" for phase in unwanted)
