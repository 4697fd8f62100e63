"""The doors through which kopf lets events in: low-level, one per kind, each only parses and passes on.

Kopf's higher handlers keep their progress in annotations and their own finalizer on each object, which costs two more
writes per task and would be a second truth beside the status. `on.event` writes nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kopf
from pydantic import ValidationError

from velum.api.meta import GROUP, VERSION
from velum.api.model import AnonymizationModel
from velum.api.task import AnonymizationTask
from velum.tasks.store import ModelEvent, TaskEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inside:
    """Who is told what comes in through the doors. Called in kopf's thread."""

    task: Callable[[TaskEvent], None]
    model: Callable[[ModelEvent], None]
    lease: Callable[[str, str], None]
    """Gets the lease's name and its resource version."""


def open_doors(registry: kopf.OperatorRegistry, inside: Inside) -> None:
    """Register the doors."""

    @kopf.on.event(GROUP, VERSION, "anonymizationtasks", registry=registry)
    async def task_door(event: Any, **_: Any) -> None:
        try:
            task = AnonymizationTask.model_validate(event["object"])
        except ValidationError as error:
            log.warning("task %s cannot be read: %s", _name(event), error)
            return
        inside.task(TaskEvent("gone" if event["type"] == "DELETED" else "present", task))

    @kopf.on.event(GROUP, VERSION, "anonymizationmodels", registry=registry)
    async def model_door(event: Any, **_: Any) -> None:
        try:
            model = AnonymizationModel.model_validate(event["object"])
        except ValidationError as error:
            log.warning("model %s cannot be read: %s", _name(event), error)
            return
        inside.model(ModelEvent("gone" if event["type"] == "DELETED" else "present", model))

    @kopf.on.event("coordination.k8s.io", "v1", "leases", registry=registry)
    async def lease_door(event: Any, **_: Any) -> None:
        inside.lease(_name(event), event["object"]["metadata"]["resourceVersion"])


def _name(event: Any) -> str:
    return str(event["object"]["metadata"]["name"])
