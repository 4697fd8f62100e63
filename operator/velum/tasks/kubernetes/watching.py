"""Following a kind of resource for ever: list, then watch from there, and list again when the thread is lost.

The API server ends every watch after a while, forgets the past (410), restarts. Each time this goes on from the last
resource version it saw; when the server no longer knows that one, it lists again and works out what vanished meanwhile
from the last state of each object, which it keeps.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic

from velum.errors import Unavailable
from velum.tasks.kubernetes.collection import Collection, Json
from velum.tasks.kubernetes.refusals import PART, Expired
from velum.tasks.reading import Resource, parse
from velum.tasks.store import PAGE

log = logging.getLogger(__name__)


WATCH_SECONDS = (240, 300)
"""How long one watch lasts: below the five minutes at which many proxies cut; spread, so that not all end at once."""

RETRY_BASE_SECONDS = 0.25
RETRY_CAP_SECONDS = 15.0
"""Waits while the server is away: short at first, since a rolling restart takes a second; then gentle on it."""

BRIEF_SECONDS = 1.0
"""A watch that ends sooner than this without a word is treated as a failure: else it would be a busy loop."""


@dataclass(frozen=True)
class Change(Generic[Resource]):
    """An object as it is now (`present`), or as it last was."""

    present: bool
    resource: Resource


class Watching(Generic[Resource]):
    """One watch of one kind."""

    def __init__(
        self,
        collection: Collection,
        kind: type[Resource],
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._collection = collection
        self._kind: type[Resource] = kind
        self._jitter = jitter
        self._known: dict[str, Resource] = {}
        self._version = ""
        self.heard_at = time.monotonic()
        """When the server last said anything to this watch, bookmarks included, by the monotonic clock."""

    async def changes(self) -> AsyncGenerator[Change[Resource], None]:
        """Yield every object, then changes, until closed. Raises Unavailable only when the first list fails."""
        failures = 0
        for change in await self._list():
            yield change
        while True:
            started = time.monotonic()
            try:
                if not self._version:
                    for change in await self._list():
                        yield change
                async with aclosing(self._watch()) as changes:
                    async for change in changes:
                        yield change
                if self.heard_at < started and time.monotonic() - started < BRIEF_SECONDS:
                    raise Unavailable(PART, "it ends every watch at once")
                failures = 0
            except Expired:
                self._version = ""
            except Unavailable as error:
                failures = 1 if self.heard_at > started else failures + 1
                wait = self._wait(failures)
                log.warning("watching %s: %s; again in %.1f s", self._kind.__name__, error, wait)
                await asyncio.sleep(wait)

    def _wait(self, failures: int) -> float:
        longest: float = min(RETRY_BASE_SECONDS * 2 ** min(failures - 1, 16), RETRY_CAP_SECONDS)
        return longest * (0.5 + 0.5 * self._jitter())

    async def _list(self) -> list[Change[Resource]]:
        """Return what differs from what is known; afterwards the watch can go on from the list's version."""
        items: list[Json] = []
        query: dict[str, str | int] = {"limit": PAGE}
        while True:
            try:
                page = await self._collection.page(query)
            except Expired:  # the list outlived its snapshot
                items, query = [], {"limit": PAGE}
                continue
            items += page["items"] or ()
            token = page["metadata"].get("continue")
            if not token:
                break
            query = {"limit": PAGE, "continue": token}
        self.heard_at = time.monotonic()
        self._version = page["metadata"]["resourceVersion"]
        uids = {item["metadata"]["uid"] for item in items}
        vanished = [known for known in self._known.values() if known.metadata.uid not in uids]
        gone = [change for known in vanished for change in self._forget(known.name)]
        return gone + [change for item in items for change in self._learn(item)]

    async def _watch(self) -> AsyncGenerator[Change[Resource], None]:
        query: dict[str, str | int] = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": int(WATCH_SECONDS[0] + self._jitter() * (WATCH_SECONDS[1] - WATCH_SECONDS[0])),
        }
        async with aclosing(self._collection.stream(query)) as batches:
            async for batch in batches:
                self.heard_at = time.monotonic()
                for event in batch:
                    for change in self._take(event):
                        yield change

    def _take(self, event: Json) -> list[Change[Resource]]:
        item = event["object"]
        if event["type"] == "ERROR":
            if item.get("code") == 410:
                raise Expired(item.get("message", ""))
            self._version = ""  # whatever it was, a fresh list is a safe ground
            raise Unavailable(PART, f"the watch failed: {item.get('message', item)}")
        self._version = item["metadata"]["resourceVersion"]
        if event["type"] == "BOOKMARK":
            return []
        if event["type"] == "DELETED":
            self._learn(item)  # its last state, so that "as it last was" is true
            return self._forget(item["metadata"]["name"])
        return self._learn(item)

    def _learn(self, item: Json) -> list[Change[Resource]]:
        try:
            resource = parse(item, self._kind, PART)
        except Unavailable as error:
            log.warning("%s", error)
            return []
        old = self._known.get(resource.name)
        if old is not None and old.metadata.resource_version == resource.metadata.resource_version:
            return []
        changes: list[Change[Resource]] = []
        if old is not None and old.metadata.uid != resource.metadata.uid:
            changes += self._forget(resource.name)  # deleted and made anew, unseen
        self._known[resource.name] = resource
        changes.append(Change(True, resource))
        return changes

    def _forget(self, name: str) -> list[Change[Resource]]:
        known = self._known.pop(name, None)
        return [] if known is None else [Change(False, known)]
