"""What can happen to a record, each as one function inside the caller's transaction."""

import json
import re
import sqlite3

from velum.api.meta import FINALIZER, KEEP_FILES, PURGE_FILES
from velum.api.model import ModelSpec, ModelStatus
from velum.api.status import TaskStatus
from velum.api.task import TaskSpec
from velum.clock import Clock
from velum.errors import AlreadyExists, InvalidInput
from velum.tasks.secret import with_secret
from velum.tasks.sqlite import records
from velum.tasks.store import SecretHeader

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""RFC 1123 subdomain, as the API server demands of names. Names become parts of paths: this is also a guard."""

NAME_LENGTH = 253


def add_task(
    connection: sqlite3.Connection,
    name: str,
    spec: TaskSpec,
    clock: Clock,
    labels: dict[str, str],
    header: SecretHeader | None,
) -> None:
    """Add a task with its finalizer, and its header as a secret. Raises AlreadyExists, InvalidInput."""
    check_name(name)
    if records.exists(connection, "task", name):
        raise AlreadyExists("task", name)
    spec = with_secret(name, spec) if header is not None else spec
    status = TaskStatus().wire()
    uid = records.insert(
        connection, "task", name, clock, spec=spec.wire(), status=status, labels=labels, finalizers=(FINALIZER,)
    )
    if header is not None:
        connection.execute("INSERT INTO secrets VALUES (?, ?, ?)", (uid, header.name, header.value))


def check_name(name: str) -> None:
    """Raise InvalidInput for a name that the API server would refuse."""
    if len(name) > NAME_LENGTH or NAME.fullmatch(name) is None:
        raise InvalidInput("metadata.name", "must be lower case letters, digits, '-' and '.', as in a host name")


def set_status(connection: sqlite3.Connection, row: sqlite3.Row, status: TaskStatus | ModelStatus) -> sqlite3.Row:
    """Replace the status."""
    wire = status.wire()
    return records.update(connection, row, status=json.dumps(wire), phase=wire.get("phase"))


def add_finalizer(connection: sqlite3.Connection, row: sqlite3.Row) -> sqlite3.Row:
    """Make deletion wait."""
    finalizers = json.loads(row["finalizers"])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)
    return records.update(connection, row, finalizers=json.dumps(finalizers))


def release(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Remove the finalizer, and the record if it waited only for that."""
    finalizers = [each for each in json.loads(row["finalizers"]) if each != FINALIZER]
    if row["deleted"] is not None and not finalizers:
        records.remove(connection, row)
    else:
        records.update(connection, row, finalizers=json.dumps(finalizers))


def mark_deleted(connection: sqlite3.Connection, row: sqlite3.Row, moment: str, *, keep_files: bool) -> None:
    """Mark the record for deletion, or remove it when nothing waits. Without `keep_files` an earlier wish to keep ends.

    The stronger wish wins because files that stay against a later request would be a leak.
    """
    if not json.loads(row["finalizers"]):
        records.remove(connection, row)
        return
    annotations = json.loads(row["annotations"])
    if not keep_files:
        annotations.pop(KEEP_FILES, None)
    elif row["deleted"] is None:
        annotations[KEEP_FILES] = "true"
    records.update(connection, row, deleted=row["deleted"] or moment, annotations=json.dumps(annotations))


def purge(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Ask for the files to go."""
    annotations = {**json.loads(row["annotations"]), PURGE_FILES: "true"}
    records.update(connection, row, annotations=json.dumps(annotations))


def suspend(connection: sqlite3.Connection, row: sqlite3.Row, suspended: bool) -> None:
    """Set `spec.suspend`, the only part of a spec that can change; a new generation if it does."""
    spec = json.loads(row["spec"])
    if spec.get("suspend", False) != suspended:
        spec["suspend"] = suspended
        records.update(connection, row, spec=json.dumps(spec), generation=row["generation"] + 1)


def put_model(connection: sqlite3.Connection, name: str, spec: ModelSpec, clock: Clock) -> sqlite3.Row:
    """Add the model, or replace its spec under a new generation if it differs. Raises InvalidInput."""
    check_name(name)
    if not records.exists(connection, "model", name):
        records.insert(connection, "model", name, clock, spec=spec.wire(), status=ModelStatus().wire())
    row = records.read(connection, "model", name)
    wire = json.dumps(spec.wire())
    if row["spec"] == wire:
        return row
    return records.update(connection, row, spec=wire, generation=row["generation"] + 1)


def add_event(connection: sqlite3.Connection, note: tuple[str, str, str, str, str], kept: int) -> None:
    """Add (task uid, moment, kind, reason, message), and drop the task's oldest events beyond `kept`."""
    if connection.execute("SELECT 1 FROM records WHERE uid = ?", (note[0],)).fetchone() is None:
        return  # the task went while we wrote
    connection.execute("INSERT INTO events (task_uid, at, kind, reason, message) VALUES (?, ?, ?, ?, ?)", note)
    connection.execute(
        "DELETE FROM events WHERE task_uid = ? AND id <="
        " (SELECT id FROM events WHERE task_uid = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (note[0], note[0], kept),
    )
