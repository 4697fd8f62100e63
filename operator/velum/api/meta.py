"""What every resource has: group, version, object metadata, and the frozen base of all types.

Types are parsed once at the edge and never change afterwards; a new state is a new value. Unknown fields are
ignored rather than refused, so that an older process can read what a newer one wrote: refusing unknown fields
is the API server's work (`kubectl --validate=strict`) and, over REST, the ingress's.
"""

import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP = "velum.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FINALIZER = f"{GROUP}/files"
"""Held until the controller has removed the task's files."""

KEEP_FILES = f"{GROUP}/keep-files"
"""Annotation: deletion leaves the files (`DELETE /v1/task/{id}?files=false`)."""

PURGE_FILES = f"{GROUP}/purge-files"
"""Annotation: remove the files, keep the record (`DELETE /v1/task/{id}?record=false`)."""

CREATED_BY = f"{GROUP}/created-by"
"""Label: which door a task came through (`rest`); tasks applied by people do not carry it."""


def rfc3339(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds, the form of Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]


class Frozen(BaseModel):
    """Base of all resource types: immutable, camelCase on the wire."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """Return the JSON form as the API server stores it: camelCase, no nulls."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(Frozen):
    """The part of Kubernetes' ObjectMeta that Velum reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


def new_name() -> str:
    """Return a task id: a UUIDv7 (RFC 9562, 5.7), so that ids sort by creation time and cannot be guessed."""
    millis = time.time_ns() // 1_000_000
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
