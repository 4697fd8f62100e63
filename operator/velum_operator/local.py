"""The operator beside a store that can be watched directly: SQLite, for `velum up`. No kopf, no lease, no doors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeVar, runtime_checkable

from velum.clock import Clock, SystemClock
from velum.errors import Unavailable
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.store import Store
from velum_operator.assembly import assembled
from velum_operator.metrics import ControllerMetrics

log = logging.getLogger(__name__)

E = TypeVar("E")

RETRY_SECONDS = 1.0
"""Wait after the store could not be watched."""


@runtime_checkable
class Identified(Protocol):
    """A store that knows which installation it belongs to."""

    async def identity(self) -> str:
        """Return it: the same for as long as the store exists, and no other store's. Raises Unavailable."""
        ...


async def run_local(
    store: Store,
    storage: Storage,
    settings: Settings,
    metrics: ControllerMetrics,
    *,
    clock: Clock | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Drive the tasks of this store until `stop` is set (gracefully) or until cancelled (at once).

    Raises:
        Unavailable: the store does not answer at the start.
        TypeError: the store does not know its installation; a cluster's is told apart by its lease (`run_operator`).
    """
    if not isinstance(store, Identified):
        raise TypeError(f"{type(store).__name__} has no identity")
    stop, clock = stop or asyncio.Event(), clock or SystemClock()
    async with assembled(store, storage, settings, clock, metrics, await store.identity()) as operator:
        await operator.serve(
            stop,
            follow(store.watch, operator.controller.observe),
            follow(store.watch_models, operator.models.observe),
        )


async def follow(watch: Callable[[], AsyncIterator[E]], observe: Callable[[E], None]) -> None:
    """Tell an observer everything that a watch shows, until cancelled."""
    while True:
        try:
            async for event in watch():
                observe(event)
        except Unavailable as error:
            log.warning("%s", error)
        await asyncio.sleep(RETRY_SECONDS)
