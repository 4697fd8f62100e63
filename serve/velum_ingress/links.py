"""Ids in, addresses out: which paths name a task, and the base URL of links in answers."""

import re

from starlette.requests import Request

from velum.api.task import DNS_LABEL
from velum.errors import NotFound

LONGEST_ID = 253
"""Characters of a resource's name."""

_ID = re.compile(DNS_LABEL)


def task_id(text: str) -> str:
    """Return a task's id as it stands in a path. Raises NotFound for what cannot be one."""
    if len(text) > LONGEST_ID or not _ID.fullmatch(text):
        raise NotFound("task", text[:LONGEST_ID])
    return text


def path_id(request: Request) -> str:
    """Return the id in the request's path. Raises NotFound for what cannot be one.

    Read here and not as an argument of each route: FastAPI would describe it a second time, with an answer (422) that
    is never given.
    """
    return task_id(request.path_params["id"])


def endpoint(configured: str, request: Request) -> str:
    """Return the base URL of links, without a slash at the end.

    The configured one, else the one that the client used. Behind a proxy that rewrites addresses, configure it.
    """
    return (configured or str(request.base_url)).rstrip("/")
