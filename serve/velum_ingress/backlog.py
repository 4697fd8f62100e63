"""Back-pressure: how many tasks have not ended, asked of the store at most once a second.

Between two questions the tasks made here are added, so that a burst does not pass on an old number, and an upload holds
its place from its first byte. Other processes' tasks are seen a second late: the limit protects the store, it is no
contract to the task.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from velum.clock import Clock
from velum.tasks.store import TaskStore
from velum_ingress.errors import QueueFull

FRESH = timedelta(seconds=1)
"""How long a count is believed."""


class Backlog:
    """The number of unfinished tasks, and the limit on it."""

    def __init__(self, store: TaskStore, limit: int, clock: Clock) -> None:
        self.limit = limit
        self._store = store
        self._clock = clock
        self._asking = asyncio.Lock()
        self._count = 0
        self._asked: datetime | None = None
        self._entering = 0

    async def count(self) -> int:
        """Return how many tasks wait or run, at most a second old. Raises Unavailable."""
        async with self._asking:
            now = self._clock.now()
            # Below zero: the clock was set back, and the count may be of any age.
            if self._asked is None or not timedelta(0) <= now - self._asked < FRESH:
                self._count = await self._store.count_unfinished()
                self._asked = now
        return self._count

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for the task that the block makes; a block that ends with an error gives it back.

        Raises:
            QueueFull: there is none.
            Unavailable: the store does not answer.
        """
        unfinished = await self.count() + self._entering
        if unfinished >= self.limit:
            raise QueueFull(unfinished, self.limit)
        self._entering += 1
        try:
            yield
            self._count += 1
        finally:
            self._entering -= 1
