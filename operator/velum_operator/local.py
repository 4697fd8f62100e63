"""The operator beside a store that can be watched directly: SQLite, for `velum up`. No kopf, no lease, no doors."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

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
    """
    stop = stop or asyncio.Event()
    async with assembled(store, storage, settings, clock or SystemClock(), metrics) as operator:
        working = asyncio.create_task(operator.run())
        tasks = [
            working,
            asyncio.create_task(follow(store.watch, operator.controller.observe)),
            asyncio.create_task(follow(store.watch_models, operator.models.observe)),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
            await operator.stop()
            await working
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)


async def follow(watch: Callable[[], AsyncIterator[E]], observe: Callable[[E], None]) -> None:
    """Tell an observer everything that a watch shows, until cancelled."""
    while True:
        try:
            async for event in watch():
                observe(event)
        except Unavailable as error:
            log.warning("%s", error)
        await asyncio.sleep(RETRY_SECONDS)
