"""Errors as answers: the one table from the kernel's and the ingress's errors to HTTP.

Every error has the contract's form, `{"status_code", "error"}`, and is a problem detail of RFC 9457 at the same time
(`type`, `title`, `status`, `detail`). Members beside these: `field` names the parameter or part at fault, `reason` is
the API's word for why a picture failed, `task` its id, `error_id` finds an unexpected error in the server's log.
"""

import logging
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route, Router

from velum.api import Reason
from velum.errors import (
    AlreadyExists,
    Conflict,
    ForbiddenTarget,
    InvalidInput,
    NotFound,
    Unavailable,
    VelumError,
)
from velum_ingress.errors import (
    MediaRefused,
    NoSuchResult,
    NotReady,
    QueueFull,
    ResultMissing,
    SubmissionFailed,
    TaskFailed,
    UploadTooLarge,
)

log = logging.getLogger(__name__)

STATUS: dict[type[VelumError], int] = {
    InvalidInput: 400,
    ForbiddenTarget: 400,
    NotFound: 404,
    NoSuchResult: 404,
    NotReady: 409,
    Conflict: 409,
    AlreadyExists: 409,
    UploadTooLarge: 413,
    TaskFailed: 422,
    ResultMissing: 500,
    QueueFull: 503,
    Unavailable: 503,
}
"""Error → status. A class that is not here has its base's."""

REASON_STATUS: dict[str, int] = {
    Reason.EMPTY_MEDIA: 400,
    Reason.TRUNCATED_MEDIA: 400,
    Reason.CORRUPT_MEDIA: 400,
    Reason.CLASS_NOT_SERVED: 400,
    Reason.INVALID_SPEC: 400,
    Reason.UNSUPPORTED_MEDIA: 415,
    Reason.TOO_MANY_PIXELS: 413,
    Reason.TOO_LARGE: 413,
}
"""Why an upload or its task failed → status of the answer to the upload. Every other reason is our fault: 500."""

RETRY_SECONDS = {QueueFull: 5, Unavailable: 5, NotReady: 1}
"""What Retry-After says: a queue of that length needs seconds, a result usually less."""


class Problem(JSONResponse):
    """An error as an answer."""

    media_type = "application/problem+json"

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None, **members: Any) -> None:
        body = {
            "status_code": status,
            "error": text,
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": text,
            **members,
        }
        super().__init__(body, status, {"X-Content-Type-Options": "nosniff", **(headers or {})})


def problem(error: VelumError) -> Problem:
    """Return the answer for an error of the kernel's or the ingress's."""
    kind = next(base for base in (*type(error).__mro__, VelumError) if base in {*STATUS, VelumError})
    status, text, members = STATUS.get(kind, 500), str(error), {}
    match error:
        case InvalidInput(field=field):
            members["field"] = field
        case ForbiddenTarget(why=why):
            text, members["field"] = f"webhook: {why}", "webhook"
        case MediaRefused(reason=reason):
            status, members["reason"] = REASON_STATUS[reason], str(reason)
        case TaskFailed(reason=reason, task=task):
            members |= {"reason": reason, "task": task}
            if isinstance(error, SubmissionFailed):
                status = REASON_STATUS.get(reason, 500)
        case ResultMissing(task=task):
            log.error("%s", error)
            members["task"] = task
        case Unavailable(part=part):
            log.warning("%s", error)  # the reason names places that are none of the client's business
            text = f"{part} is unavailable; try again later"
        case _ if status == 500:
            log.error("no answer is known for %r", error)
            text = "the server failed"
    seconds = next((wait for each, wait in RETRY_SECONDS.items() if isinstance(error, each)), None)
    return Problem(status, text, {"Retry-After": str(seconds)} if seconds is not None else None, **members)


def unexpected(error_id: str) -> Problem:
    """Return the answer for an error that nobody expected; the log has the rest under this id."""
    return Problem(500, f"the server failed; its log has the details under {error_id}", error_id=error_id)


def stopped() -> Problem:
    """Return the answer for a request that the server could not finish before it stopped."""
    return Problem(503, "the server is stopping; try again", {"Retry-After": str(RETRY_SECONDS[Unavailable])})


def install(app: FastAPI, routers: Sequence[Router]) -> None:
    """Make every error of this app an answer of ours. `routers`: where to look for what an address does allow."""
    everywhere = (app.router, *routers)

    async def of_ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, VelumError)  # noqa: S101 - registered for this class
        return problem(error)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        text, headers = error.detail, dict(error.headers or {})
        if error.status_code == 404:
            text = "there is nothing at this address; /docs lists what there is"
        elif error.status_code == 405:
            headers["Allow"] = allowed = ", ".join(_allowed(request, everywhere))
            text = f"{request.method} is not possible at this address; {allowed} are"
        return Problem(error.status_code, text, headers)

    app.add_exception_handler(VelumError, of_ours)
    app.add_exception_handler(HTTPException, of_http)


def _allowed(request: Request, routers: Iterable[Router]) -> list[str]:
    """Return all methods of the request's address: the router names only those of the first route that has it."""
    found = (
        route.methods or ()
        for router in routers
        for route in router.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    )
    return sorted({method for methods in found for method in methods})
