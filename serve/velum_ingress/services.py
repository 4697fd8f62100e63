"""What every route stands on, made once per app."""

import asyncio
import os
from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from velum.clock import Clock
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.store import Store
from velum_ingress.backlog import Backlog
from velum_ingress.links import endpoint
from velum_ingress.metrics import Metrics
from velum_ingress.parameters import Defaults
from velum_ingress.waiting import Waiting

REENCODERS = max(1, (os.cpu_count() or 1) // 2)
"""Downloads that are encoded anew at a time: each holds a decoded picture, and the cores are the replicas' too."""


@dataclass(frozen=True)
class Services:
    """The store, storage and settings, and what the app keeps of its own beside them."""

    store: Store
    storage: Storage
    settings: Settings
    clock: Clock
    defaults: Defaults
    waiting: Waiting
    backlog: Backlog
    metrics: Metrics
    reencoding: asyncio.Semaphore

    @classmethod
    def of(cls, store: Store, storage: Storage, settings: Settings, clock: Clock) -> "Services":
        """Return the services. Raises InvalidInput when a default in the settings is none."""
        return cls(
            store=store,
            storage=storage,
            settings=settings,
            clock=clock,
            defaults=Defaults.of(settings.api),
            waiting=Waiting(store),
            backlog=Backlog(store, settings.limit.queue, clock),
            metrics=Metrics(),
            reencoding=asyncio.Semaphore(REENCODERS),
        )

    def stop(self) -> None:
        """Release all requests that wait, with 202 and their task: it is kept, and goes on after a restart.

        To be called in the event loop, before the HTTP server is told to stop: it waits for open requests, and cancels
        those that take too long.
        """
        self.waiting.stopping.set()

    @property
    def namespace(self) -> str:
        """The namespace of the tasks made here: part of their folders' keys."""
        return self.settings.controller.namespace


def services(request: Request) -> Services:
    """Return the services of the app that serves this request."""
    return cast(Services, request.app.state.services)


def base_url(request: Request) -> str:
    """Return the base URL of links in this answer."""
    return endpoint(services(request).settings.api.endpoint, request)
