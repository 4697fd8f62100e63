"""Events for people, recorded beside the work, never in its way.

A task's status carries the same facts; an event only makes them show up in `kubectl describe`. So the queue is bounded,
and when the API server is slower than the tasks, the oldest events are dropped rather than the tasks delayed.
"""

import asyncio
from collections import deque

from velum.api.task import AnonymizationTask
from velum.tasks.decision import Note
from velum.tasks.store import TaskStore

KEPT = 1000
"""Events that wait at a time: about ten seconds of full load."""


class Notes:
    """Records events one after the other."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._queue: deque[tuple[AnonymizationTask, Note]] = deque(maxlen=KEPT)
        self._arrived = asyncio.Event()
        self._recording = False

    def put(self, task: AnonymizationTask, note: Note) -> None:
        """Record this when there is time."""
        self._queue.append((task, note))
        self._arrived.set()

    @property
    def idle(self) -> bool:
        """Whether everything is recorded."""
        return not self._queue and not self._recording

    async def run(self) -> None:
        """Record what is put, until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                task, note = self._queue.popleft()
                self._recording = True
                try:
                    await self._store.record_event(task, note.kind, str(note.reason), note.message)
                finally:
                    self._recording = False
