"""Waiting for tasks: one watch of the store per process, shared by all requests that wait.

A request registers what it waits for before it causes it, so that no event falls between. Events are level-triggered:
after a break the store lists everything again, and what ended meanwhile is told then.

When the process stops nobody waits any more: tasks outlive requests, so each request answers with what it knows.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, cast

from velum.errors import VelumError
from velum.tasks.store import TaskEvent, TaskStore

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5
RETRY_CAP_SECONDS = 10.0
"""Wait after the watch broke, doubled up to the cap: a store that restarts is found again soon, and not hammered."""

Ends = Callable[[TaskEvent], bool]
Expected = asyncio.Future[TaskEvent]


class Waiting:
    """The process's watch, and who waits for what."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._expected: dict[str, list[tuple[Ends, Expected]]] = {}
        self.stopping = asyncio.Event()
        """Set when the process stops, once and for all."""

    @contextmanager
    def expect(self, name: str, ends: Ends) -> Iterator[Expected]:
        """Give a future for the first event of this task that `ends` says yes to. It is forgotten with the block."""
        entry = (ends, cast(Expected, asyncio.get_running_loop().create_future()))
        self._expected.setdefault(name, []).append(entry)
        try:
            yield entry[1]
        finally:
            self._expected[name].remove(entry)
            if not self._expected[name]:
                del self._expected[name]

    async def until(self, expected: Expected, seconds: float, *others: asyncio.Future[Any]) -> None:
        """Wait until the event has come, the time is up, the process stops, or one of the others is done."""
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            first: set[asyncio.Future[Any]] = {expected, stopping, *others}
            await asyncio.wait(first, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)

    @property
    def count(self) -> int:
        """How many requests wait."""
        return sum(map(len, self._expected.values()))

    def tell(self, event: TaskEvent) -> None:
        """Pass an event to those who wait for it."""
        for ends, future in self._expected.get(event.task.name, ()):
            if not future.done() and ends(event):
                future.set_result(event)

    async def run(self) -> None:
        """Follow the store until cancelled; a break is logged and the watch taken up again."""
        delay = RETRY_SECONDS
        while True:
            try:
                async with aclosing(self._store.watch()) as events:  # type: ignore[type-var]
                    async for event in events:
                        delay = RETRY_SECONDS
                        self.tell(event)
            except VelumError as error:
                log.warning("watching tasks: %s", error)
            except Exception:
                log.exception("watching tasks broke off")
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_CAP_SECONDS)
