"""The database's shape, one numbered SQL file per step, forward only.

`PRAGMA user_version` counts the steps taken. All missing steps run in one transaction that takes the write lock
first, so that two processes that start at once do not both take them. A file that is ahead of this program is refused
rather than guessed at.
"""

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from velum.errors import Unavailable

PART = "task database"
"""The name that errors give this store."""


def steps() -> tuple[str, ...]:
    """Return the SQL of every step, in order."""
    found = sorted(
        (entry for entry in files(__package__).iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
    )
    return tuple(entry.read_text(encoding="utf-8") for entry in found)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the database to the newest shape. Raises Unavailable when it is newer than this program."""
    known = steps()
    if _version(connection) == len(known):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # somebody else may have migrated while we waited for the lock
        if version > len(known):
            raise Unavailable(
                PART,
                f"{path} was written by a newer Velum (schema {version}, this one knows {len(known)}); "
                "upgrade Velum or name another file",
            )
        for step in known[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(known)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """Yield the statements one by one: `executescript` would commit the transaction that holds them together."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends inside a statement: {statement.strip()[:80]!r}")
