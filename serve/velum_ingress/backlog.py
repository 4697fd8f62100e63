"""Back-pressure: how many tasks have not ended, asked of the store at most once a second.

Between two questions the tasks admitted here are added, so that a burst does not pass on an old number. Other
processes' tasks are seen a second late: the limit protects the store, it is no contract to the task.
"""

import asyncio
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

    async def count(self) -> int:
        """Return how many tasks wait or run, at most a second old. Raises Unavailable."""
        async with self._asking:
            now = self._clock.now()
            # Below zero: the clock was set back, and the count may be of any age.
            if self._asked is None or not timedelta(0) <= now - self._asked < FRESH:
                self._count = await self._store.count_unfinished()
                self._asked = now
        return self._count

    async def admit(self) -> None:
        """Count one more task. Raises QueueFull, Unavailable."""
        if await self.count() >= self.limit:
            raise QueueFull(self.limit)
        self._count += 1
