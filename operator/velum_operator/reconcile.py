"""One pass over one task: latest state and facts → decide → at most one status write → actions.

A pass usually reads nothing: the task is on its desk, put there by the watch or by our own last write. If the desk is
behind, the status write fails by its resource version, and the next pass reads anew.

The fence: `Start` follows the status write that names the attempt, never precedes it. A controller that lost its lease
cannot win that write against its successor, so no attempt number is ever used twice.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from velum.api.status import Phase, TaskStatus
from velum.api.task import AnonymizationTask, TaskSpec
from velum.clock import Clock
from velum.errors import NotFound
from velum.storage import Storage
from velum.tasks.decision import (
    Action,
    AddFinalizer,
    Cancel,
    Decision,
    Delete,
    Deliver,
    Export,
    Facts,
    Release,
    RemoveFiles,
    Start,
    Tidy,
)
from velum.tasks.lifecycle import decide
from velum.tasks.store import TaskStore
from velum_operator.desk import Desk
from velum_operator.desks import Desks
from velum_operator.janitor import mark_kept
from velum_operator.jobs import Jobs
from velum_operator.liveness import Echo
from velum_operator.metrics import ControllerMetrics
from velum_operator.notes import Notes
from velum_operator.queue import WorkQueue
from velum_operator.slots import Rank, Slots

CERTAINLY_GONE = timedelta(seconds=30)
"""After this long a released task is looked up, in case the watch was broken when it went (kopf lists anew then, and
a list does not show what is missing in it)."""

EPOCH = datetime.fromtimestamp(0, UTC)

Seen = tuple[Literal["known", "missing", "lacks-class", "failed"], str]


class Models(Protocol):
    """What the controller asks of the models."""

    def view(self, spec: TaskSpec) -> Seen:
        """Return whether the task's model exists, serves its classes, can be deployed; what to tell people if not."""
        ...

    def want(self, name: str) -> None:
        """Have this model deployed: a task waits for it."""
        ...

    def suspect(self) -> None:
        """Look at Ray now: an order was not taken or got lost."""
        ...


class Reconciler:
    """Performs passes. It holds nothing of its own: what it knows lies on the desks."""

    def __init__(
        self,
        store: TaskStore,
        storage: Storage,
        desks: Desks,
        jobs: Jobs,
        notes: Notes,
        queue: WorkQueue,
        slots: Slots,
        models: Models,
        clock: Clock,
        metrics: ControllerMetrics,
        echo: Echo,
    ) -> None:
        self._store = store
        self._storage = storage
        self._desks = desks
        self._jobs = jobs
        self._notes = notes
        self._queue = queue
        self._slots = slots
        self._models = models
        self._clock = clock
        self._metrics = metrics
        self._echo = echo

    async def reconcile(self, desk: Desk) -> None:
        """Bring the task one step on.

        Raises:
            NotFound: the task is gone.
            Conflict: somebody else changed it meanwhile.
            Unavailable: the store or storage does not answer.
        """
        task = await self._latest(desk)
        decision = await self._decide(desk, task)
        if AddFinalizer() in decision.actions:
            task = await self._store.add_finalizer(task)
            self._wrote(desk, task)
            decision = await self._decide(desk, task)
        before = task.status
        task = await self._write(desk, task, decision.status)
        if desk not in self._desks:
            return  # gone while we wrote
        desk.settle(before, task.status)
        for action in decision.actions:
            await self._perform(desk, task, action)
        for note in decision.notes:
            self._notes.put(task, note)
        self._queue.wake_at(desk.name, decision.wake)
        if Release() in decision.actions:
            desk.task = None
            self._queue.wake_at(desk.name, self._clock.now() + CERTAINLY_GONE)
        _put_away(desk, task)

    async def _latest(self, desk: Desk) -> AnonymizationTask:
        if desk.task is not None:
            return desk.task
        task = await self._store.get(desk.name)
        if task.metadata.uid != desk.uid:
            raise NotFound("task", desk.name)  # the watch will show the new one of that name
        self._desks.put(desk, task)
        return task

    async def _decide(self, desk: Desk, task: AnonymizationTask) -> Decision:
        """Decide as if there were room; if that starts an attempt, take the room or decide again without it."""
        facts = await self._facts(desk, task)
        now = self._clock.now()
        decision = decide(task, replace(facts, slot=True), now)
        if any(isinstance(action, Start) for action in decision.actions):
            self._models.want(task.spec.model)
            if self._slots.take(task.spec.model, task.name, rank(task)):
                return decision
            return decide(task, facts, now)
        if desk.attempt is None:
            self._slots.release(task.name)  # it was kept for this task, which has no use for it now
        return decision

    async def _facts(self, desk: Desk, task: AnonymizationTask) -> Facts:
        facts, status = desk.facts(), task.status
        if status.finished or status.result is not None or task.deleting:
            return facts
        known, message = self._models.view(task.spec)
        facts = replace(facts, model=known, model_message=message)
        if status.phase is Phase.RUNNING and facts.running is None and facts.outcome is None:
            # A predecessor's attempt, or one whose answer we never heard: it may have got done.
            facts = replace(facts, manifest=await self._jobs.manifest(task, status.attempt))
        return facts

    async def _write(self, desk: Desk, task: AnonymizationTask, status: TaskStatus) -> AnonymizationTask:
        if not worth_writing(task.status, status):
            return task
        written = await self._store.write_status(task, status)
        self._wrote(desk, written)
        self._measure(task, written)
        return written

    def _wrote(self, desk: Desk, task: AnonymizationTask) -> None:
        if desk in self._desks:
            self._echo.expect(task.name, task.metadata.resource_version)
            self._desks.learn(desk, task)

    async def _perform(self, desk: Desk, task: AnonymizationTask, action: Action) -> None:
        match action:
            case Start(attempt):
                self._jobs.attempt(desk, task, attempt)
            case Cancel():
                self._jobs.cancel(desk, "attempt")
            case Export() | Deliver() | Tidy() | RemoveFiles():
                self._begin(desk, task, action)
            case Release():
                if task.keeps_files:
                    await mark_kept(self._storage, task.folder)
                await self._store.release(task)
            case Delete():
                await self._store.delete(task.name)
            case AddFinalizer():
                pass  # done before the status was decided

    def _begin(self, desk: Desk, task: AnonymizationTask, action: Export | Deliver | Tidy | RemoveFiles) -> None:
        match action:
            case Export():
                self._jobs.export(desk, task)
            case Deliver():
                self._jobs.deliver(desk, task)
            case Tidy():
                self._jobs.tidy(desk, task)
            case RemoveFiles():
                self._jobs.remove(desk, task)

    def _measure(self, before: AnonymizationTask, after: AnonymizationTask) -> None:
        old, new = before.status, after.status
        if new.attempt == 1 and old.attempt == 0 and before.metadata.creation_timestamp is not None:
            waited = self._clock.now() - before.metadata.creation_timestamp
            self._metrics.queue_seconds.observe(max(waited.total_seconds(), 0))
        if new.finished and not old.finished and new.started_at is not None and new.finished_at is not None:
            self._metrics.run_seconds.observe((new.finished_at - new.started_at).total_seconds())


def rank(task: AnonymizationTask) -> Rank:
    """Return the task's place among those that wait for room."""
    return task.metadata.creation_timestamp or EPOCH, task.name


def worth_writing(before: TaskStatus, after: TaskStatus) -> bool:
    """Tell whether a status says more than what is stored.

    A task that only waits for room says nothing that its absence of status does not say. Writing `observedGeneration`
    alone would cost one PATCH per queued task, half as many again as the whole work needs.
    """
    if before.observed_generation is None:
        return after.model_copy(update={"observed_generation": None}) != before
    return after != before


def _put_away(desk: Desk, task: AnonymizationTask) -> None:
    """Keep only the name of a task that is at rest."""
    at_rest = task.status.finished and not task.deleting and not desk.busy
    if at_rest and desk.version == task.metadata.resource_version:
        desk.task = None
