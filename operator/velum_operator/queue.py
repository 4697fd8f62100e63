"""A work queue of names, as controllers have it: a name that is already waiting is not queued twice, and no name is
worked on twice at a time. A name that is added while it is worked on comes around once more.

Wake-ups ("look at this name again at that time") sit in a heap. Each name has at most one: a later decision about a
name replaces the earlier wish, so a long queue of old wishes cannot build up.
"""

import asyncio
import heapq
from collections import deque
from contextlib import suppress
from datetime import datetime

from velum.clock import Clock

LONGEST_SLEEP = 30.0
"""Seconds after which the timer looks at the clock again, so that a clock that was set forward is noticed."""

SLACK = 64
"""Outdated heap entries that are tolerated beyond the number of valid ones, before the heap is built anew."""


class WorkQueue:
    """Names to look at, each by one worker at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._due: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._arrived = asyncio.Event()
        self._poked = asyncio.Event()

    def __len__(self) -> int:
        """Return how many names wait for a worker now."""
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nobody works; wake-ups in the future do not count."""
        return not self._ready and not self._working

    def add(self, name: str) -> None:
        """Look at this name as soon as a worker is free."""
        if name in self._working:
            self._again.add(name)
        elif name not in self._waiting:
            self._waiting.add(name)
            self._ready.append(name)
            self._arrived.set()

    def wake_at(self, name: str, when: datetime | None) -> None:
        """Look at this name at that time. Replaces what was wished for it before; None wishes nothing."""
        if when is None:
            self._due.pop(name, None)
            return
        if self._due.get(name) == when:
            return
        self._due[name] = when
        heapq.heappush(self._heap, (when, name))
        if len(self._heap) > 2 * len(self._due) + SLACK:
            self._heap = [(due, each) for each, due in self._due.items()]
            heapq.heapify(self._heap)
        if self._heap[0] == (when, name):
            self._poked.set()

    def wake_earlier(self, name: str, when: datetime) -> None:
        """Look at this name at that time at the latest; an earlier wish stays."""
        due = self._due.get(name)
        if due is None or when < due:
            self.wake_at(name, when)

    def forget(self, name: str) -> None:
        """Drop the wish for this name: it is gone."""
        self._due.pop(name, None)

    async def get(self) -> str:
        """Return the next name and hold it until `done`."""
        while not self._ready:
            self._arrived.clear()
            await self._arrived.wait()
        name = self._ready.popleft()
        self._waiting.discard(name)
        self._working.add(name)
        return name

    def done(self, name: str) -> None:
        """Let go of a name; it comes around once more if it was added meanwhile."""
        self._working.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.add(name)

    def release_due(self) -> float:
        """Add every name whose time has come; return the seconds until the next one, at most LONGEST_SLEEP."""
        now = self._clock.now()
        while self._heap:
            when, name = self._heap[0]
            if self._due.get(name) != when:
                heapq.heappop(self._heap)  # replaced or dropped since
            elif when <= now:
                heapq.heappop(self._heap)
                del self._due[name]
                self.add(name)
            else:
                return min((when - now).total_seconds(), LONGEST_SLEEP)
        return LONGEST_SLEEP

    async def run_timer(self) -> None:
        """Release names as their time comes, until cancelled."""
        while True:
            delay = self.release_due()
            self._poked.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._poked.wait()
