"""What takes time: attempts, exports, webhook calls and the removal of files. Each runs as an asyncio task and leaves
its result on the task's desk; the next pass turns it into status.

A desk has at most one job of a kind. Asking for a job that runs already changes nothing, so a decision may be repeated.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from pydantic import ValidationError

from velum.api.reasons import Reason
from velum.api.task import AnonymizationTask
from velum.errors import NotFound, VelumError
from velum.storage import Storage
from velum.tasks.order import Failed, Manifest, NotStarted, Outcome, Progress, Succeeded, work_folder, work_order
from velum_operator.desk import Desk, Job
from velum_operator.dispatch import Dispatcher
from velum_operator.export import export
from velum_operator.metrics import ControllerMetrics
from velum_operator.webhooks import Deliverer

log = logging.getLogger(__name__)


class Jobs:
    """Starts and cancels jobs.

    `ended` is called with the desk, and the error if there was one, after each; `progressed` when an attempt is one
    percent further.
    """

    def __init__(
        self, storage: Storage, dispatcher: Dispatcher, deliverer: Deliverer, metrics: ControllerMetrics
    ) -> None:
        self._storage = storage
        self._dispatcher = dispatcher
        self._deliverer = deliverer
        self._metrics = metrics
        self._all: set[asyncio.Task[None]] = set()
        self.ended: Callable[[Desk, Job, BaseException | None], None] = lambda *_: None
        self.progressed: Callable[[Desk], None] = lambda _: None

    @property
    def idle(self) -> bool:
        """Whether no job runs."""
        return not self._all

    def attempt(self, desk: Desk, task: AnonymizationTask, attempt: int) -> None:
        """Hand out this attempt. Its number must be in the store already."""
        if "attempt" not in desk.jobs:
            desk.attempt, desk.progress = attempt, None
            self._start(desk, "attempt", self._attempt(desk, task, attempt))

    def export(self, desk: Desk, task: AnonymizationTask) -> None:
        """Copy the result to its destination."""
        if "export" not in desk.jobs:
            self._start(desk, "export", self._export(desk, task))

    def deliver(self, desk: Desk, task: AnonymizationTask) -> None:
        """Call the webhook."""
        if "deliver" not in desk.jobs:
            self._start(desk, "deliver", self._deliver(desk, task))

    def remove(self, desk: Desk, task: AnonymizationTask) -> None:
        """Remove the task's files."""
        if "remove" not in desk.jobs:
            self._start(desk, "remove", self._remove(desk, task))

    def tidy(self, desk: Desk, task: AnonymizationTask) -> None:
        """Remove what the task's attempts left for each other."""
        if "tidy" not in desk.jobs:
            self._start(desk, "tidy", self._tidy(task))

    def cancel(self, desk: Desk, *kinds: Job) -> None:
        """Cancel the desk's jobs of these kinds, or all."""
        for kind, job in desk.jobs.items():
            if not kinds or kind in kinds:
                job.cancel()

    async def close(self) -> None:
        """Cancel every job and wait until all have ended."""
        for job in self._all:
            job.cancel()
        while self._all:
            await asyncio.wait(self._all)
            await asyncio.sleep(0)  # lets the callbacks run that take them off the set

    def _start(self, desk: Desk, kind: Job, work: Coroutine[Any, Any, None]) -> None:
        job = asyncio.create_task(work, name=f"{kind} {desk.name}")
        desk.jobs[kind] = job
        self._all.add(job)
        job.add_done_callback(lambda done: self._ended(desk, kind, done))

    def _ended(self, desk: Desk, kind: Job, job: asyncio.Task[None]) -> None:
        self._all.discard(job)
        desk.jobs.pop(kind, None)
        error = None if job.cancelled() else job.exception()
        if kind == "attempt":
            desk.attempt = desk.progress = None
            if job.cancelled():
                self._metrics.attempts.labels("cancelled").inc()
        self.ended(desk, kind, error)

    async def _attempt(self, desk: Desk, task: AnonymizationTask, attempt: int) -> None:
        order = work_order(task, attempt)
        try:
            outcome = await self._dispatcher.run(order, partial(self._told, desk))
            if isinstance(outcome, Failed) and outcome.reason is Reason.WORKER_LOST:
                outcome = await self._despite(task, attempt, outcome)
        except Exception as error:  # a bug in the dispatcher must not leave the task running for ever
            log.exception("attempt %d at %s", attempt, task.name)
            outcome = Failed(Reason.PIPELINE_FAILED, f"{type(error).__name__} in the dispatcher")
        if isinstance(outcome, Failed):  # without its message, which may hold a client's URL: the status has that
            log.warning("task %s: attempt %d failed: %s", task.name, attempt, outcome.reason)
        desk.outcome, desk.outcome_attempt = outcome, attempt
        self._metrics.attempts.labels(_result(outcome)).inc()

    def _told(self, desk: Desk, progress: Progress) -> None:
        further = desk.progress is None or desk.progress.percent != progress.percent
        desk.progress = progress
        if further:
            self.progressed(desk)

    async def _despite(self, task: AnonymizationTask, attempt: int, lost: Failed) -> Outcome:
        """Return success if the attempt was done and only its answer got lost."""
        try:
            manifest = await self.manifest(task, attempt)
        except VelumError:
            return lost
        return Succeeded(manifest) if manifest is not None else lost

    async def manifest(self, task: AnonymizationTask, attempt: int) -> Manifest | None:
        """Return the manifest that this attempt left in storage, None when there is none. Raises Unavailable."""
        key = work_order(task, attempt).manifest_key
        try:
            return Manifest.model_validate(json.loads(await self._storage.outputs.get(key)))
        except NotFound:
            return None
        except (ValidationError, ValueError) as error:
            log.warning("%s is no manifest and is ignored: %s", key, error)
            return None

    async def _export(self, desk: Desk, task: AnonymizationTask) -> None:
        error = await export(task, self._storage.outputs)
        desk.export_error, desk.exported = error, not error

    async def _deliver(self, desk: Desk, task: AnonymizationTask) -> None:
        desk.delivered = await self._deliverer.deliver(task)
        self._metrics.webhooks.labels("failed" if desk.delivered else "sent").inc()

    async def _tidy(self, task: AnonymizationTask) -> None:
        await self._storage.outputs.remove(work_folder(task))

    async def _remove(self, desk: Desk, task: AnonymizationTask) -> None:
        exporting = desk.jobs.get("export")
        if exporting is not None:  # it reads what is removed here
            exporting.cancel()
            await asyncio.wait([exporting])
        await self._storage.remove(task.folder)
        desk.files_removed = True


def _result(outcome: Outcome) -> str:
    match outcome:
        case Succeeded():
            return "succeeded"
        case NotStarted():
            return "not_started"
        case Failed():
            return "failed"
