"""Room in the models: how many attempts a model takes at a time, and who comes next.

This is the back-pressure between tasks and Ray Serve. A task that finds no room waits here, in the status it has; when
room appears, exactly as many of the oldest are told as there is room for, and the room is kept for them until they have
taken or declined it. Waking everyone who waits would cost one pass each for every single place.

Order of creation decides, not order of asking: after a restart the queue is the same as before.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

Rank = tuple[datetime, str]
"""Creation time and name: the order of the queue, the same in every process."""


@dataclass
class _Room:
    capacity: int = 0
    holders: set[str] = field(default_factory=set)
    waiting: dict[str, Rank] = field(default_factory=dict)
    heap: list[tuple[Rank, str]] = field(default_factory=list)

    def next(self) -> str | None:
        """Return and remove the oldest who still waits."""
        while self.heap:
            rank, name = heapq.heappop(self.heap)
            if self.waiting.get(name) == rank:
                del self.waiting[name]
                return name
        return None


class Slots:
    """Room per model. `wake` is called with each name that room is now kept for."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._place: dict[str, str] = {}
        self._closed = False
        self.wake: Callable[[str], None] = lambda _: None

    def resize(self, model: str, capacity: int) -> None:
        """Set how many attempts this model takes. Who has room keeps it, even when there is less now."""
        room = self._rooms.setdefault(model, _Room())
        room.capacity = capacity
        self._grant(room)

    def close(self) -> None:
        """Give no more room to anybody: the process ends."""
        self._closed = True

    def take(self, model: str, name: str, rank: Rank) -> bool:
        """Take room for this name, or line it up. Taking what one has already is True."""
        if self._place.get(name, model) != model:
            self.release(name)
        room = self._rooms.setdefault(model, _Room())
        if name in room.holders:
            return True
        self._place[name] = model
        if room.waiting.get(name) != rank:
            room.waiting[name] = rank
            heapq.heappush(room.heap, (rank, name))
        self._grant(room, asking=name)
        return name in room.holders

    def release(self, name: str) -> None:
        """Give back room, or leave the line. Nothing to give back is fine."""
        model = self._place.pop(name, None)
        if model is None:
            return
        room = self._rooms[model]
        room.holders.discard(name)
        room.waiting.pop(name, None)
        self._grant(room)

    def waiting(self, model: str) -> int:
        """Return how many wait for room in this model."""
        room = self._rooms.get(model)
        return len(room.waiting) if room is not None else 0

    def _grant(self, room: _Room, asking: str | None = None) -> None:
        while not self._closed and len(room.holders) < room.capacity and (name := room.next()) is not None:
            room.holders.add(name)
            if name != asking:  # who asks sees the answer at once
                self.wake(name)
