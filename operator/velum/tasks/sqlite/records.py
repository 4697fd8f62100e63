"""Rows of the `records` table: how a resource is written, read back, changed and removed.

Every function works inside the caller's transaction. Each change takes the next number of the sequence as the
record's resource version, which makes compare-and-swap one `WHERE seq = ?`, and order of commits the order of numbers.
"""

import json
import sqlite3
import uuid
from typing import Any, Literal

from velum.api.meta import rfc3339
from velum.clock import Clock
from velum.errors import Conflict, NotFound
from velum.tasks.reading import Resource, parse
from velum.tasks.sqlite.migrations import PART

Kind = Literal["task", "model"]

TOMBSTONES_KEPT = 10_000
"""More deletions than a living reader can be behind: it looks fifty times a second."""

_COLUMNS = "kind, name, uid, seq, generation, created, deleted, finalizers, labels, annotations, spec, status"


def next_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the change being made."""
    row = connection.execute("UPDATE sequence SET last = last + 1 RETURNING last").fetchone()
    return int(row["last"])


def exists(connection: sqlite3.Connection, kind: Kind, name: str) -> bool:
    """Tell whether there is such a record."""
    query = "SELECT 1 FROM records WHERE kind = ? AND name = ?"
    return connection.execute(query, (kind, name)).fetchone() is not None


def insert(
    connection: sqlite3.Connection,
    kind: Kind,
    name: str,
    clock: Clock,
    *,
    spec: dict[str, Any],
    status: dict[str, Any],
    labels: dict[str, str] | None = None,
    finalizers: tuple[str, ...] = (),
) -> str:
    """Add a record and return its uid. The caller has made sure that the name is free."""
    uid = str(uuid.uuid4())
    row = {
        "kind": kind,
        "name": name,
        "uid": uid,
        "seq": next_seq(connection),
        "created": rfc3339(clock.now()),
        "finalizers": json.dumps(finalizers),
        "labels": json.dumps(labels or {}),
        "spec": json.dumps(spec),
        "status": json.dumps(status),
        "phase": status.get("phase"),
    }
    connection.execute(
        "INSERT INTO records (kind, name, uid, seq, generation, created, finalizers, labels, annotations, spec, status,"
        " phase) VALUES (:kind, :name, :uid, :seq, 1, :created, :finalizers, :labels, '{}', :spec, :status, :phase)",
        row,
    )
    return uid


def read(connection: sqlite3.Connection, kind: Kind, name: str) -> sqlite3.Row:
    """Return the row. Raises NotFound."""
    query = f"SELECT {_COLUMNS} FROM records WHERE kind = ? AND name = ?"  # noqa: S608 - a constant
    row: sqlite3.Row | None = connection.execute(query, (kind, name)).fetchone()
    if row is None:
        raise NotFound(kind, name)
    return row


def read_all(connection: sqlite3.Connection, where: str = "", values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
    """Return the rows that `where` (the rest of the statement, written by us) selects."""
    return connection.execute(f"SELECT {_COLUMNS} FROM records {where}", values).fetchall()  # noqa: S608


def current(connection: sqlite3.Connection, kind: Kind, name: str, version: str) -> sqlite3.Row:
    """Return the row if it is still at this version. Raises NotFound, Conflict."""
    row = read(connection, kind, name)
    if str(row["seq"]) != version:
        raise Conflict(name)
    return row


def update(connection: sqlite3.Connection, row: sqlite3.Row, **columns: str | int | None) -> sqlite3.Row:
    """Set these columns if one of them differs, under a new version, and return the row as it is now."""
    if all(row[column] == value for column, value in columns.items() if column != "phase"):
        return row  # as the API server does: a write that changes nothing makes no new version
    columns["seq"] = next_seq(connection)
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(
        f"UPDATE records SET {assignments} WHERE uid = ?",  # noqa: S608 - names of columns, from this package
        (*columns.values(), row["uid"]),
    )
    return read(connection, row["kind"], row["name"])


def remove(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Remove the record with its secret and events, and leave a tombstone for those who watch."""
    seq = next_seq(connection)
    connection.execute("DELETE FROM records WHERE uid = ?", (row["uid"],))
    connection.execute("INSERT INTO tombstones (seq, kind, name) VALUES (?, ?, ?)", (seq, row["kind"], row["name"]))
    pruned = connection.execute(
        "DELETE FROM tombstones WHERE seq <= (SELECT seq FROM tombstones ORDER BY seq DESC LIMIT 1 OFFSET ?)"
        " RETURNING seq",
        (TOMBSTONES_KEPT,),
    ).fetchall()
    if pruned:
        connection.execute("UPDATE sequence SET pruned = ?", (max(gone["seq"] for gone in pruned),))


def resource(row: sqlite3.Row, kind: type[Resource]) -> Resource:
    """Return the row as a task or a model. Raises Unavailable when this version cannot read it."""
    return parse(
        {
            "metadata": {
                "name": row["name"],
                "uid": row["uid"],
                "resourceVersion": str(row["seq"]),
                "generation": row["generation"],
                "creationTimestamp": row["created"],
                "deletionTimestamp": row["deleted"],
                "finalizers": json.loads(row["finalizers"]),
                "labels": json.loads(row["labels"]),
                "annotations": json.loads(row["annotations"]),
            },
            "spec": json.loads(row["spec"]),
            "status": json.loads(row["status"]),
        },
        kind,
        PART,
    )
