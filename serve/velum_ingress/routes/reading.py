"""Registering addresses that are read: where GET works, HEAD does."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

Handler = Callable[..., Awaitable[Response]]


def readable(router: APIRouter, path: str, **described: Any) -> Callable[[Handler], Handler]:
    """Register a handler for GET, and for HEAD beside it: the server leaves the body out. Only GET is documented."""

    def register(handler: Handler) -> Handler:
        router.add_api_route(path, handler, methods=["GET"], response_model=None, **described)
        router.add_api_route(path, handler, methods=["HEAD"], response_model=None, include_in_schema=False)
        return handler

    return register
