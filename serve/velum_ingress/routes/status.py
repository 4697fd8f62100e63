"""`/v1/status` for clients, `/healthz` and `/readyz` for whatever runs the server."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from velum.api import AnonymizationModel, Reason, condition
from velum.api.conditions import READY
from velum.errors import Unavailable
from velum_ingress import described
from velum_ingress.problems import Problem
from velum_ingress.routes.reading import readable
from velum_ingress.services import Services, services
from velum_ingress.version import VERSION

router = APIRouter(tags=["server"])

ANSWER_SECONDS = 5.0
"""How long store and storage may take to answer a check."""

UNABLE = frozenset({Reason.DEPLOY_FAILED, Reason.INVALID_MODEL, Reason.RAY_UNAVAILABLE})
"""Reasons of a model's Ready condition with which its tasks would wait for a person, not for a start."""


@readable(router, "/v1/status", **described.STATUS)
async def status(request: Request) -> Response:
    """Tell whether work is taken: 200 `running`, 500 `down` with the reason.

    The model of requests that name none comes first.
    """
    rooms = services(request)
    try:
        await _answering(rooms)
        models = await rooms.store.list_models()
        unfinished = await rooms.backlog.count()
    except Unavailable as error:
        return _down(f"{error.part} is unavailable")
    why = _unable(models, rooms.settings.api.model)
    if why is not None:
        return _down(why)
    queue = {"unfinished": unfinished, "limit": rooms.backlog.limit}
    # the page offers the classes of the first
    states = [_state(model) for model in sorted(models, key=lambda model: model.name != rooms.settings.api.model)]
    return JSONResponse({"status": "running", "version": VERSION, "queue": queue, "models": states})


@readable(router, "/healthz", **described.HEALTH)
async def healthz(_: Request) -> Response:
    """Tell that the process is alive."""
    return JSONResponse({"status": "ok"})


@readable(router, "/readyz", **described.READY)
async def readyz(request: Request) -> Response:
    """Tell whether the store and storage answer."""
    try:
        await _answering(services(request))
    except Unavailable as error:
        return Problem(503, f"{error.part} is unavailable", {"Retry-After": "5"})
    return JSONResponse({"status": "ok"})


async def _answering(rooms: Services) -> None:
    """Raise Unavailable when the store or storage does not answer in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(rooms.store.check(), rooms.storage.check())
    except TimeoutError as error:
        raise Unavailable("store or storage", f"no answer within {ANSWER_SECONDS:g} s") from error


def _unable(models: Sequence[AnonymizationModel], default: str) -> str | None:
    """Return why requests that name no model get no work done; None when they do.

    The default model alone is judged: that another one works helps no client that does not know of it. Not knowing yet
    counts as able, because nothing has failed.
    """
    if not models:
        return "there is no model; `velum up` or an AnonymizationModel makes one"
    model = next((each for each in models if each.name == default), None)
    if model is None:
        known = ", ".join(each.name for each in models)
        return f"the default model {default!r} does not exist; the models are: {known}"
    state = _state(model)
    if state["ready"] == "True" or state["reason"] not in UNABLE:
        return None
    return f"no worker can take a task: model {default}: {state['reason']}: {state['message']}"


def _state(model: AnonymizationModel) -> dict[str, Any]:
    found = condition(model.status.conditions, READY)
    return {
        "name": model.name,
        "ready": found.status if found is not None else "Unknown",
        "reason": found.reason if found is not None else "",
        "message": (found.message if found is not None else "") or model.status.message,
        "replicas": model.status.replicas,
        "classes": list(model.spec.classes),
    }


def _down(reason: str) -> Response:
    return JSONResponse({"status": "down", "reason": reason, "status_code": 500, "error": reason}, 500)
