"""`POST /v1/file`: a picture or video comes in. Synchronous unless the client says otherwise."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from velum.api import AnonymizationTask, Phase
from velum.api.meta import new_name
from velum.api.v1 import task_document
from velum.errors import NotFound, Unavailable
from velum.tasks.store import TaskEvent
from velum_ingress import described, submitting
from velum_ingress.errors import SubmissionFailed, UploadTooLarge
from velum_ingress.multipart import boundary_of
from velum_ingress.parameters import parse
from velum_ingress.parameters.values import boolean
from velum_ingress.services import Services, base_url, services
from velum_ingress.upload import FORM_OVERHEAD
from velum_ingress.waiting import Expected

ASYNC = "x-is-async"

router = APIRouter(tags=["files"])


@router.post("/v1/file", response_model=None, **described.POST_FILE)
async def post_file(request: Request) -> Response:
    """Anonymize a picture or video: 200 with the ended task, or 202 with `Location` for asynchronous requests.

    A synchronous request is answered 202 too when it takes longer than the server waits, or when the server stops; the
    task is kept.
    """
    rooms = services(request)
    submission = parse(request.query_params.multi_items(), request.headers, rooms.defaults)
    asynchronous = wants_async(request.headers.get(ASYNC))
    boundary = boundary_of(request.headers.get("content-type"))
    _check_length(request.headers.get("content-length"), rooms)
    submission = await submitting.check(rooms, submission)
    name = new_name()
    with rooms.waiting.expect(name, _ended) as expected:
        task = await submitting.submit(rooms, submission, name, request.stream(), boundary)
        if not asynchronous:
            task = await _end_of(task, expected, request, rooms)
    return _answer(request, task)


def wants_async(text: str | None) -> bool:
    """Return what the header `x-is-async` says. Raises InvalidInput."""
    return boolean(ASYNC, text) if text and text.strip() else False


def _check_length(text: str | None, rooms: Services) -> None:
    """Refuse by the announced length what would be refused by the counted one: before a byte of it is sent."""
    limit = rooms.settings.limit.upload_bytes
    if text is not None and text.isdecimal() and int(text[:20]) > limit + FORM_OVERHEAD:
        raise UploadTooLarge(limit)


def _ended(event: TaskEvent) -> bool:
    task = event.task
    return event.kind == "gone" or task.deleting or task.status.phase is Phase.DELETED or task.status.finished


async def _end_of(task: AnonymizationTask, expected: Expected, request: Request, rooms: Services) -> AnonymizationTask:
    """Return the task as it is when it has ended, the time is up, the server stops, or the client has left.

    Raises:
        SubmissionFailed: it ended without a result.
        NotFound: somebody deleted it meanwhile.
    """
    leaving = asyncio.create_task(_left(request))
    rooms.metrics.waiting.inc()
    try:
        await rooms.waiting.until(expected, rooms.settings.limit.sync_seconds, leaving)
    finally:
        rooms.metrics.waiting.dec()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    event = expected.result() if expected.done() else await _present(task, rooms)
    if event.kind == "gone" or event.task.deleting or event.task.status.phase is Phase.DELETED:
        raise NotFound("task", task.name)
    if event.task.status.failed:
        raise SubmissionFailed(event.task)
    return event.task


async def _present(task: AnonymizationTask, rooms: Services) -> TaskEvent:
    """Return the task as the store has it: the watch may be behind, or broken. If neither answers, it is accepted."""
    try:
        return TaskEvent("present", await rooms.store.get(task.name))
    except Unavailable:
        return TaskEvent("present", task)


async def _left(request: Request) -> None:
    """Return when the client has gone away. The task goes on without it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(request: Request, task: AnonymizationTask) -> Response:
    document = task_document(task, base_url(request))
    location = {"Location": f"{base_url(request)}/v1/task/{task.name}"}
    return JSONResponse(document, 200 if task.status.finished else 202, location)
