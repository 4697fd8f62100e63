"""`/v1/task/…`: tasks listed, read and deleted. The list's address stands before `{id}`: routes match in order."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from velum.api import Phase
from velum.api.v1 import STATUS, status_word, task_document
from velum.errors import InvalidInput, NotFound
from velum.tasks.store import TaskEvent, every
from velum_ingress import described
from velum_ingress.links import path_id
from velum_ingress.parameters import collect
from velum_ingress.parameters.values import BOOLEAN, text, whole, word
from velum_ingress.routes.reading import readable
from velum_ingress.services import Services, base_url, services

router = APIRouter(tags=["tasks"])

LIMIT = whole(1, 1000)
PAGE = 100
"""Tasks in a list when the client names no number."""

STATUS_WORD = word(*dict.fromkeys(STATUS.values()))
CURSOR = text(2048)
SCOPE = {"record": BOOLEAN, "files": BOOLEAN}

DELETIONS_AT_A_TIME = 16
DELETION_SECONDS = 10.0
"""How long a deletion is waited for. It takes milliseconds where a controller runs; if none does, 202 says so."""


@readable(router, "/v1/task/list", **described.LIST)
@readable(router, "/v1/task/lists", include_in_schema=False)
async def list_tasks(request: Request) -> Response:
    """Return tasks in order of creation. `Link` and `X-Next-Cursor` tell where the next page starts."""
    given = collect(request.query_params.multi_items(), {"status": STATUS_WORD, "limit": LIMIT, "cursor": CURSOR})
    wanted = given.get("status")
    page = await services(request).store.list(
        phases=_phases(wanted), limit=given.get("limit", PAGE), cursor=given.get("cursor")
    )
    # A task that is being deleted shows as deleted, whatever its phase is still.
    shown = [task_document(task, base_url(request)) for task in page.tasks if wanted in {None, status_word(task)}]
    headers = {}
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        query = f"?{following.query}"
        headers = {"Link": f'<{base_url(request)}{request.url.path}{query}>; rel="next"', "X-Next-Cursor": page.cursor}
    return JSONResponse(shown, headers=headers)


@router.delete("/v1/task/list", response_model=None, **described.DELETE_LIST)
@router.delete("/v1/task/lists", response_model=None, include_in_schema=False)
async def delete_tasks(request: Request) -> Response:
    """Delete all tasks, or those with a status. They are gone soon after; running ones are cancelled first."""
    rooms = services(request)
    given = collect(request.query_params.multi_items(), {"status": STATUS_WORD, **SCOPE})
    wanted, (record, files) = given.get("status"), _scope(given)
    gate = asyncio.Semaphore(DELETIONS_AT_A_TIME)

    async def one(name: str) -> bool:
        async with gate:
            return await _delete(rooms, name, record=record, files=files)

    names = [
        task.name
        async for task in every(rooms.store, _phases(wanted))
        if wanted in {None, status_word(task)} and (record or status_word(task) != "deleted")
    ]
    return JSONResponse({"deleted": sum(await asyncio.gather(*map(one, names)))})


@readable(router, "/v1/task/{id}", **described.TASK)
async def get_task(request: Request) -> Response:
    """Return the task as it is now."""
    collect(request.query_params.multi_items(), {})
    task = await services(request).store.get(path_id(request))
    return JSONResponse(task_document(task, base_url(request)))


@router.delete("/v1/task/{id}", response_model=None, **described.DELETE_TASK)
async def delete_task(request: Request) -> Response:
    """Delete the task, its files, or both. 200: it is done; 202: it will be, once a controller runs again."""
    rooms = services(request)
    record, files = _scope(collect(request.query_params.multi_items(), SCOPE))
    name = path_id(request)
    with rooms.waiting.expect(name, _gone if record else _purged) as expected:
        if not await _delete(rooms, name, record=record, files=files):
            raise NotFound("task", name)
        # Asked once: what was deleted before brings no event.
        done = await _is_deleted(rooms, name, record)
        if not done:
            await rooms.waiting.until(expected, DELETION_SECONDS)
            done = expected.done()
    return JSONResponse({"id": name, "status": "deleted"}, 200 if done else 202)


def _gone(event: TaskEvent) -> bool:
    return event.kind == "gone"


def _purged(event: TaskEvent) -> bool:
    return event.kind == "gone" or event.task.status.phase is Phase.DELETED


async def _is_deleted(rooms: Services, name: str, record: bool) -> bool:
    try:
        task = await rooms.store.get(name)
    except NotFound:
        return True
    return not record and task.status.phase is Phase.DELETED


async def _delete(rooms: Services, name: str, *, record: bool, files: bool) -> bool:
    """Ask for the deletion; return whether there was such a task."""
    try:
        if record:
            await rooms.store.delete(name, keep_files=not files)
        else:
            await rooms.store.purge(name)
    except NotFound:
        return False
    return True


def _phases(wanted: str | None) -> Sequence[Phase]:
    """Return the phases behind a status; all of them for `deleted`, which a task of any phase may show."""
    if wanted in {None, "deleted"}:
        return ()
    return [phase for phase, status in STATUS.items() if status == wanted]


def _scope(given: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether the record and whether the files are to go."""
    record, files = (given.get(name, True) for name in SCOPE)
    if not record and not files:
        raise InvalidInput("record", "record and files are both false; there is nothing to delete")
    return record, files
