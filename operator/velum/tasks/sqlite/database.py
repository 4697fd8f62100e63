"""One SQLite file in WAL mode, spoken to from two threads: one that writes, one that reads.

Each thread owns its connection, so SQLite's rule "one thread at a time" holds by construction, the event loop never
waits for a disk, and a reader never waits for a writer's fsync. Every piece of work is one transaction. Writers take
the lock at once (`BEGIN IMMEDIATE`): two that upgrade read locks later can wait for each other for ever.

`synchronous=FULL`: when a call returns, its change has reached the disk. What is accepted survives a power cut.

A failure of SQLite itself becomes `Unavailable` with the file's name, and the connection is opened afresh next time.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from velum.errors import Unavailable
from velum.tasks.sqlite.migrations import PART, migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

PRIVATE = 0o600
"""The file holds webhook secrets; SQLite gives its -wal and -shm files the same mode."""

_making = threading.Lock()

BUSY_SECONDS = 5.0
"""How long a write waits for another process's: writes take milliseconds, so longer means that something is stuck."""


class Database:
    """The file. Opened at the first use; `aclose` ends its threads."""

    def __init__(self, path: Path, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._writer = _Lane(path, busy_seconds, "IMMEDIATE")
        self._reader = _Lane(path, busy_seconds, "DEFERRED")

    async def write(self, work: Work[T]) -> T:
        """Run the work in a transaction that holds the write lock. Raises Unavailable, and what the work raises."""
        return await self._writer.run(work)

    async def read(self, work: Work[T]) -> T:
        """Run the work on one consistent snapshot. Raises Unavailable, and what the work raises."""
        return await self._reader.run(work)

    async def data_version(self) -> int:
        """Return a number that differs from the last one when anybody has committed a change. Raises Unavailable."""
        return await self._reader.run(_data_version, transaction=False)

    async def aclose(self) -> None:
        """Close the connections and end the threads."""
        await self._reader.aclose()
        await self._writer.aclose()


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


class _Lane:
    """One thread with one connection."""

    def __init__(self, path: Path, busy_seconds: float, begin: Literal["IMMEDIATE", "DEFERRED"]) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._begin = f"BEGIN {begin}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="velum-sqlite")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def run(self, work: Work[T], *, transaction: bool = True) -> T:
        if self._closed:
            raise Unavailable(PART, f"{self._path} was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work, transaction)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    def _guarded(self, work: Work[T], transaction: bool) -> T:
        try:
            if self._connection is None:
                self._connection = connect(self._path, self._busy_seconds)
            return self._transaction(self._connection, work) if transaction else work(self._connection)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise Unavailable(PART, f"{self._path}: {error}") from error

    def _transaction(self, connection: sqlite3.Connection, work: Work[T]) -> T:
        connection.execute(self._begin)
        try:
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has ended it already
                connection.execute("ROLLBACK")
            raise
        return result

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """Open the file, make it if need be, and bring it to the newest shape.

    Raises:
        Unavailable: a newer Velum wrote it.
        sqlite3.Error: it is corrupt, locked, or no database.
        OSError: the folder cannot be made or written.
    """
    _make_private(path)
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        _wal(connection, time.monotonic() + busy_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # a deleted secret must not stay readable in a free page
        connection.row_factory = sqlite3.Row
        migrate(connection, str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _make_private(path: Path) -> None:
    """Make the file, for its owner only, if it is not there.

    A file that is there must not even be opened outside SQLite: POSIX drops all locks that a process holds on a file
    when it closes any descriptor of it, and another process would take the WAL for abandoned. For the same reason
    nobody in this process may connect between the two calls here.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))


def _wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Switch to WAL. SQLite does not wait for the lock that this takes once in a file's life, so we do."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
