"""What the API server's refusals mean to us: one table from its answers to the kernel's errors.

The server explains itself in a `Status` object (message, reason, and for an invalid object the fields at fault). A
plain-text 404 means that it does not know the resource type at all: the CRDs are not installed.
"""

import json
from dataclasses import dataclass
from typing import Any

from velum.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Unavailable, VelumError

PART = "API server"
"""The name that errors give this store."""

LONGEST_TEXT = 500
"""Characters of an answer that is no Status: enough to recognise a proxy's error page."""

OUR_TYPES = "install the types: kubectl apply -f crds/"
"""What to do when the server does not know Velum's resource types."""


class UnknownType(Unavailable):
    """The server does not know the resource type: its CRD is not installed, or not any more."""


class Expired(Exception):
    """The server no longer has the past that was asked about: a resource version or a continue token (410)."""


@dataclass(frozen=True)
class Request:
    """What was asked, in the words that an error needs."""

    verb: str
    kind: str
    resource: str
    namespace: str
    name: str = ""
    remedy: str = OUR_TYPES


def refusal(request: Request, code: int, body: bytes) -> VelumError | Expired:
    """Return the error that this answer stands for."""
    status = _status(body)
    message = str(status.get("message") or body[:LONGEST_TEXT].decode(errors="replace").strip() or "no reason given")
    match code:
        case 400 | 413:
            return InvalidInput(request.kind, message)
        case 401 | 403:
            where = f" in namespace {request.namespace}" if request.namespace else ""
            return Unavailable(PART, f"not allowed to {request.verb} {request.resource}{where}: {message}")
        case 404:
            return _not_found(request, status, message)
        case 409 if status.get("reason") == "AlreadyExists":
            return AlreadyExists(request.kind, request.name)
        case 409:
            return Conflict(request.name)
        case 410:
            return Expired(message)
        case 422:
            return _invalid(request, status, message)
    return Unavailable(PART, f"{code}: {message}")


def _status(body: bytes) -> dict[str, Any]:
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def _not_found(request: Request, status: dict[str, Any], message: str) -> VelumError:
    details = status.get("details") or {}
    if not status or (request.name and not details.get("name")):
        return UnknownType(PART, f"it does not know {request.resource}; {request.remedy}")
    if details.get("kind") == "namespaces" or not request.name:
        return Unavailable(PART, message)
    return NotFound(request.kind, request.name)


def _invalid(request: Request, status: dict[str, Any], message: str) -> VelumError:
    causes = [cause for cause in (status.get("details") or {}).get("causes") or () if cause.get("field")]
    if not causes:
        return InvalidInput(request.kind, message)
    field = str(causes[0]["field"])
    others = [f"{cause['field']}: {cause['message']}" for cause in causes[1:]]
    return InvalidInput(field, "; ".join([str(causes[0]["message"]), *others]))
