"""The Store port on one SQLite file."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Literal, Self, cast

from velum.api.meta import rfc3339
from velum.api.model import AnonymizationModel, ModelSpec, ModelStatus
from velum.api.status import Phase, TaskStatus
from velum.api.task import AnonymizationTask, TaskSpec
from velum.clock import Clock, SystemClock
from velum.errors import NotFound, VelumError
from velum.tasks.reading import Resource, readable
from velum.tasks.sqlite import changes, paging, records
from velum.tasks.sqlite.database import BUSY_SECONDS, Database, Work
from velum.tasks.sqlite.records import resource
from velum.tasks.sqlite.tail import Tail
from velum.tasks.store import ModelEvent, SecretHeader, TaskEvent, TaskPage

EVENTS_KEPT = 50
"""Events kept per task: more than a task has unless it retries for days, and then the last ones matter."""


class SqliteStore:
    """Tasks and models in one file. Several processes may use the same file.

    Use as an async context manager, or call `aclose`. The file is made, with its folder, at the first use.
    """

    def __init__(self, path: Path, clock: Clock | None = None, *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._database = Database(path, busy_seconds=busy_seconds)
        self._tail = Tail(self._database)
        self._clock = clock or SystemClock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End every watch and close the file."""
        await self._tail.aclose()
        await self._database.aclose()

    async def create(
        self, name: str, spec: TaskSpec, *, labels: dict[str, str], header: SecretHeader | None = None
    ) -> AnonymizationTask:
        """Keep a new task, with its finalizer and its secret header, in one transaction. See the port."""

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            changes.add_task(connection, name, spec, self._clock, labels, header)
            return records.read(connection, "task", name)

        return await self._write(work, AnonymizationTask)

    async def get(self, name: str) -> AnonymizationTask:
        """Return the task as it is now. Raises NotFound."""
        row = await self._database.read(lambda connection: records.read(connection, "task", name))
        return resource(row, AnonymizationTask)

    async def list(self, *, phases: Sequence[Phase] = (), limit: int = 100, cursor: str | None = None) -> TaskPage:
        """Return tasks in order of creation; `phases` keeps only those. Raises InvalidInput for a bad cursor."""
        after = paging.position(cursor)
        rows, cursor = await self._database.read(lambda connection: paging.page(connection, phases, limit, after))
        return TaskPage(tuple(readable(rows, lambda row: resource(row, AnonymizationTask))), cursor)

    async def count_unfinished(self) -> int:
        """Return how many tasks wait or run."""
        return await self._database.read(paging.count_unfinished)

    async def write_status(self, task: AnonymizationTask, status: TaskStatus) -> AnonymizationTask:
        """Replace the status if the task is still at the version given. Raises Conflict, NotFound."""

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            row = records.current(connection, "task", task.name, task.metadata.resource_version)
            return changes.set_status(connection, row, status)

        return await self._write(work, AnonymizationTask)

    async def add_finalizer(self, task: AnonymizationTask) -> AnonymizationTask:
        """Make deletion wait for `release`. Raises Conflict, NotFound."""

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            row = records.current(connection, "task", task.name, task.metadata.resource_version)
            return changes.add_finalizer(connection, row)

        return await self._write(work, AnonymizationTask)

    async def delete(self, name: str, *, keep_files: bool = False) -> None:
        """Ask for the task to go; `keep_files` leaves its files. Raises NotFound."""

        def work(connection: sqlite3.Connection) -> None:
            row = records.read(connection, "task", name)
            changes.mark_deleted(connection, row, rfc3339(self._clock.now()), keep_files=keep_files)

        await self._change(work)

    async def purge(self, name: str) -> None:
        """Ask for the task's files to go while the record stays. Raises NotFound."""
        await self._change(lambda connection: changes.purge(connection, records.read(connection, "task", name)))

    async def suspend(self, name: str, suspended: bool) -> None:
        """Set `spec.suspend`. Raises NotFound."""
        await self._change(
            lambda connection: changes.suspend(connection, records.read(connection, "task", name), suspended)
        )

    async def release(self, task: AnonymizationTask) -> None:
        """Remove the finalizer: a task marked for deletion is gone now, with its secret. Gone already is fine."""

        def work(connection: sqlite3.Connection) -> None:
            try:
                row = records.read(connection, "task", task.name)
            except NotFound:
                return
            if row["uid"] == task.metadata.uid:
                changes.release(connection, row)

        await self._change(work)

    async def header(self, task: AnonymizationTask) -> SecretHeader | None:
        """Return the webhook's secret header, None when the task has none. Raises NotFound when it should exist."""
        webhook = task.spec.webhook
        if webhook is None or webhook.header_secret_ref is None:
            return None
        query = "SELECT header_name, header_value FROM secrets WHERE task_uid = ?"
        row = await self._database.read(lambda c: c.execute(query, (task.metadata.uid,)).fetchone())
        if row is None:
            raise NotFound("secret", webhook.header_secret_ref.name)
        return SecretHeader(row["header_name"], row["header_value"])

    async def record_event(
        self, task: AnonymizationTask, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Note something for people to see beside the task: see `events`. Never raises."""
        note = (task.metadata.uid, rfc3339(self._clock.now()), kind, reason, message)
        try:
            await self._database.write(lambda connection: changes.add_event(connection, note, EVENTS_KEPT))
        except VelumError:
            return  # best effort: the status tells the same, and that one was written

    async def events(self, task: AnonymizationTask) -> tuple[tuple[str, str, str], ...]:
        """Return (kind, reason, message) of the task's last events, oldest first."""
        query = "SELECT kind, reason, message FROM events WHERE task_uid = ? ORDER BY id"
        rows = await self._database.read(lambda c: c.execute(query, (task.metadata.uid,)).fetchall())
        return tuple((row["kind"], row["reason"], row["message"]) for row in rows)

    async def watch(self) -> AsyncIterator[TaskEvent]:
        """Yield every task, then changes, until the iterator or the store is closed. Raises Unavailable at first."""
        async with aclosing(self._tail.watch("task")) as changed:
            async for change in changed:
                task = cast(AnonymizationTask, change.record)
                yield TaskEvent("present" if change.present else "gone", task)

    async def check(self) -> None:
        """Raise Unavailable when the file cannot be read."""
        await self._database.read(lambda connection: connection.execute("SELECT last FROM sequence").fetchone())

    async def identity(self) -> str:
        """Return who this installation is: random, and the same for as long as the file exists. Raises Unavailable."""
        query = "SELECT identity FROM installation"
        row = await self._database.read(lambda connection: connection.execute(query).fetchone())
        return str(row["identity"])

    async def get_model(self, name: str) -> AnonymizationModel:
        """Return the model as it is now. Raises NotFound."""
        row = await self._database.read(lambda connection: records.read(connection, "model", name))
        return resource(row, AnonymizationModel)

    async def list_models(self) -> tuple[AnonymizationModel, ...]:
        """Return all models by name."""
        where = "WHERE kind = 'model' ORDER BY name"
        rows = await self._database.read(lambda connection: records.read_all(connection, where))
        return tuple(readable(rows, lambda row: resource(row, AnonymizationModel)))

    async def put_model(self, name: str, spec: ModelSpec) -> AnonymizationModel:
        """Create the model or replace its spec. Raises InvalidInput for a bad name."""
        return await self._write(lambda c: changes.put_model(c, name, spec, self._clock), AnonymizationModel)

    async def write_model_status(self, model: AnonymizationModel, status: ModelStatus) -> AnonymizationModel:
        """Replace the status if the model is still at the version given. Raises Conflict, NotFound."""

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            row = records.current(connection, "model", model.name, model.metadata.resource_version)
            return changes.set_status(connection, row, status)

        return await self._write(work, AnonymizationModel)

    async def watch_models(self) -> AsyncIterator[ModelEvent]:
        """Yield every model, then changes, until the iterator or the store is closed. Raises Unavailable at first."""
        async with aclosing(self._tail.watch("model")) as changed:
            async for change in changed:
                model = cast(AnonymizationModel, change.record)
                yield ModelEvent("present" if change.present else "gone", model)

    async def _write(self, work: Work[sqlite3.Row], kind: type[Resource]) -> Resource:
        """Run a change that returns the changed row."""
        row = await self._database.write(work)
        self._tail.nudge()
        return resource(row, kind)

    async def _change(self, work: Work[None]) -> None:
        await self._database.write(work)
        self._tail.nudge()
