"""Is the watch alive? It is when what we write comes back through it.

A watch that died silently looks like a quiet cluster, and a test call to the API server proves nothing about it. So
every write of ours is noted with the version it got, and crossed out when the watch shows that version or a newer one.
The age of the oldest write that did not come back is how far the watch is behind. In a quiet cluster the lease, which
is renewed every few seconds and watched as well, keeps the proof going.
"""

from datetime import datetime, timedelta

from velum.clock import Clock
from velum_operator.desk import newer

LIMIT = timedelta(seconds=90)
"""How far behind is dead. Kopf takes up to 70 s to notice a connection that went silent and to connect again."""


class Echo:
    """Writes that the watch has not shown yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._awaited: dict[str, tuple[str, datetime]] = {}
        self._seen: dict[str, str] = {}

    def expect(self, key: str, version: str) -> None:
        """Note a write. Only the oldest one of a key that has not come back counts."""
        if not newer(version, self._seen.get(key, "")):
            return  # the watch was faster than the answer
        self._awaited.setdefault(key, (version, self._clock.now()))

    def heard(self, key: str, version: str) -> None:
        """Cross out what the watch has shown."""
        awaited = self._awaited.get(key)
        if awaited is not None and not newer(awaited[0], version):
            del self._awaited[key]
        self._seen[key] = version

    def gone(self, key: str) -> None:
        """Forget a key: the watch has shown its end."""
        self._awaited.pop(key, None)
        self._seen.pop(key, None)

    def behind(self) -> timedelta:
        """Return how long the oldest write has been missing; zero when all came back."""
        first = next(iter(self._awaited.values()), None)  # in order of time: a key that is awaited keeps its place
        return self._clock.now() - first[1] if first is not None else timedelta()

    @property
    def alive(self) -> bool:
        """Whether the watch is near enough to the present."""
        return self.behind() < LIMIT
