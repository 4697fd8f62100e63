"""The shared tail: one reader per process that follows the sequence of changes and tells every watcher.

It keeps the last state of each record, as an informer does. That is what a new watcher is given first, and how the
last state of a record that is gone is known: the database keeps only the names of those.

A write of this process wakes the tail at once. Writes of other processes are seen through `PRAGMA data_version`, a
number in shared memory that changes with every commit; asking for it costs some microseconds and no disk access.

What a watcher has not taken yet is kept per record, newest state only: a slow watcher costs no more than the records.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from velum.api.model import AnonymizationModel
from velum.api.task import AnonymizationTask
from velum.errors import Unavailable
from velum.tasks.sqlite.database import Database
from velum.tasks.sqlite.records import Kind, read_all, resource

log = logging.getLogger(__name__)

POLL_SECONDS = 0.02
"""How late a write of another process is seen: unnoticeable beside the work on a picture, and 0.5 % of one core."""

RETRY_SECONDS = 1.0
"""Wait after the database failed to answer."""

AnyResource = AnonymizationTask | AnonymizationModel


@dataclass(frozen=True)
class Change:
    """A record as it is now (`present`), or as it last was."""

    present: bool
    record: AnyResource


@dataclass(frozen=True)
class _News:
    """What was read in one go. `complete`: `rows` are all records there are, not only those that changed."""

    rows: list[sqlite3.Row]
    gone: list[sqlite3.Row]
    last: int
    complete: bool


class _Watcher:
    """What one watcher has not taken yet."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.pending: dict[tuple[str, str], Change] = {}
        self.wake = asyncio.Event()

    def tell(self, change: Change) -> None:
        meta = change.record.metadata
        self.pending.pop((meta.name, meta.uid), None)  # the newest state takes its place at the end of the line
        self.pending[meta.name, meta.uid] = change
        self.wake.set()


class Tail:
    """Follows the database while anybody watches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._position = 0
        self._known: dict[tuple[str, str], AnyResource] = {}
        self._watchers: list[_Watcher] = []
        self._refreshing = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._closed = False

    def nudge(self) -> None:
        """Look now: this process has written."""
        self._nudged.set()

    async def watch(self, kind: Kind) -> AsyncGenerator[Change, None]:
        """Yield every record of this kind, then changes, until closed. Raises Unavailable before the first."""
        await self._refresh()
        self._failure = None
        watcher = _Watcher(kind)
        for (known_kind, _), record in self._known.items():
            if known_kind == kind:
                watcher.tell(Change(True, record))
        self._watchers.append(watcher)
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow(), name="velum-sqlite-tail")
            self._follower.add_done_callback(self._ended)
        try:
            while not self._closed:
                while watcher.pending:
                    yield watcher.pending.pop(next(iter(watcher.pending)))
                watcher.wake.clear()
                if not self._closed:
                    await watcher.wake.wait()
                if self._failure is not None:
                    raise self._failure
        finally:
            self._watchers.remove(watcher)
            if not self._watchers:
                self._stop()

    async def aclose(self) -> None:
        """End every watch."""
        self._closed = True
        follower = self._follower
        self._stop()
        for watcher in self._watchers:
            watcher.wake.set()
        if follower is not None:
            await asyncio.gather(follower, return_exceptions=True)

    def _ended(self, follower: "asyncio.Task[None]") -> None:
        """Tell the watchers of a follower that died: a watch must not hang for ever in silence."""
        if not follower.cancelled():
            self._failure = follower.exception()
            self._follower = None
            for watcher in self._watchers:
                watcher.wake.set()

    def _stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            self._follower = None

    async def _follow(self) -> None:
        version = -1
        while True:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                seen = await self._database.data_version()
                if seen != version:
                    await self._refresh()
                version = seen
            except Unavailable as error:
                log.warning("watching tasks: %s", error)
                version = -1  # the connection is a new one, whose numbers start anew
                await asyncio.sleep(RETRY_SECONDS)

    async def _refresh(self) -> None:
        """Take in what was committed since the last time."""
        async with self._refreshing:
            position = self._position
            news = await self._database.read(lambda connection: _news(connection, position))
            self._take(news)
            self._position = news.last

    def _take(self, news: _News) -> None:
        if news.complete:
            there = {row["uid"] for row in news.rows}
            for key in [key for key, record in self._known.items() if record.metadata.uid not in there]:
                self._forget(*key)
        for row in sorted((*news.gone, *news.rows), key=lambda row: int(row["seq"])):
            if "uid" in row.keys():  # noqa: SIM118 - a Row has keys() but tests membership on its values
                self._learn(row)
            else:
                self._forget(row["kind"], row["name"])

    def _learn(self, row: sqlite3.Row) -> None:
        try:
            record = _parse(row)
        except Unavailable as error:
            log.warning("%s", error)
            return
        old = self._known.get((row["kind"], row["name"]))
        if old is not None and old.metadata.resource_version == record.metadata.resource_version:
            return
        self._known[row["kind"], row["name"]] = record
        self._tell(row["kind"], Change(True, record))

    def _forget(self, kind: str, name: str) -> None:
        record = self._known.pop((kind, name), None)
        if record is not None:  # else it came and went unseen
            self._tell(kind, Change(False, record))

    def _tell(self, kind: str, change: Change) -> None:
        for watcher in self._watchers:
            if watcher.kind == kind:
                watcher.tell(change)


def _parse(row: sqlite3.Row) -> AnyResource:
    return resource(row, AnonymizationTask) if row["kind"] == "task" else resource(row, AnonymizationModel)


def _news(connection: sqlite3.Connection, position: int) -> _News:
    sequence = connection.execute("SELECT last, pruned FROM sequence").fetchone()
    last, pruned = int(sequence["last"]), int(sequence["pruned"])
    if position < pruned or position > last or position == 0:  # greater: the file was replaced by an older one
        return _News(read_all(connection), [], last, complete=True)
    rows = read_all(connection, "WHERE seq > ? ORDER BY seq", (position,))
    gone = connection.execute("SELECT seq, kind, name FROM tombstones WHERE seq > ? ORDER BY seq", (position,))
    return _News(rows, gone.fetchall(), last, complete=False)
