"""The ingress as one ASGI app. Listening, TLS and signals are the command line's job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from velum.clock import Clock
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.store import Store
from velum_ingress import openapi, problems
from velum_ingress.access import Access
from velum_ingress.routes import routers
from velum_ingress.services import Services


def create_app(store: Store, storage: Storage, settings: Settings, clock: Clock) -> FastAPI:
    """Return the app. Its lifespan runs the watch of the store; the caller closes store and storage afterwards.

    Raises:
        InvalidInput: a setting of `api` has a value that no request could have either.
    """
    services = Services.of(store, storage, settings, clock)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(services.waiting.run(), name="velum-ingress-watch")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    app = openapi.bare_app(lifespan)
    app.state.services = services
    ours = routers(with_metrics=not settings.api.metrics_port)
    for router in ours:
        app.include_router(router)
    problems.install(app, ours)
    app.add_middleware(Access, metrics=services.metrics, stopping=services.waiting.stopping)
    return app
