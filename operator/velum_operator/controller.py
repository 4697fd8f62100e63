"""The controller: sees tasks, decides, writes at most one status per pass, and starts what was decided.

```
 watch ──► observe ──► queue ──► pass over the name (velum_operator.reconcile) ──► status write, then jobs
                         ▲                                                                     │
                         └── a job ended, room in the model, wake-up, resync, error back-off ◄─┘
```

Everything is level-triggered: an event only says "look at this name". Passes over one name never overlap. One task
that cannot be reconciled does not hold up others: each name backs off alone.
"""

import asyncio
import logging
import random
import time
from contextlib import suppress
from datetime import timedelta

from velum.api.reasons import Reason
from velum.clock import Clock
from velum.errors import Conflict, NotFound, Unavailable
from velum.settings import ControllerSettings
from velum.storage import Storage
from velum.tasks.order import Failed, NotStarted
from velum.tasks.store import TaskEvent, TaskStore
from velum_operator.desk import Desk, Job
from velum_operator.desks import Desks
from velum_operator.dispatch import Dispatcher
from velum_operator.jobs import Jobs
from velum_operator.liveness import Echo
from velum_operator.metrics import ControllerMetrics
from velum_operator.notes import Notes
from velum_operator.queue import WorkQueue
from velum_operator.reconcile import Models, Reconciler
from velum_operator.slots import Slots
from velum_operator.webhooks import Deliverer

log = logging.getLogger(__name__)

BACKOFF_BASE = 0.2
"""Seconds after a pass that failed, doubled after each further one."""

BACKOFF_CAP = 30.0
"""Longest wait: an API server that is back is used again within this."""

GRACE_SECONDS = 5.0
"""How long `stop` waits for attempts that are nearly done: far below the 30 s that a pod is given."""


class Controller:
    """Drives the tasks of one store. Feed it with `observe`, run it with `run`, end it with `stop`."""

    def __init__(
        self,
        store: TaskStore,
        storage: Storage,
        dispatcher: Dispatcher,
        deliverer: Deliverer,
        models: Models,
        slots: Slots,
        clock: Clock,
        settings: ControllerSettings,
        metrics: ControllerMetrics,
        echo: Echo | None = None,
        dice: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._models = models
        self._slots = slots
        self._echo = echo or Echo(clock)
        self._dice = dice or random.Random()  # noqa: S311 - jitter, not a secret
        self._desks = Desks(metrics)
        self._jobs = Jobs(storage, dispatcher, deliverer, metrics)
        self._notes = Notes(store)
        self._stopping = asyncio.Event()
        self.queue = WorkQueue(clock)
        self._reconciler = Reconciler(
            store, storage, self._desks, self._jobs, self._notes, self.queue, slots, models, clock, metrics, self._echo
        )
        self._jobs.ended = self._job_ended
        self._jobs.progressed = self._progressed
        slots.wake = self.queue.add

    def observe(self, event: TaskEvent) -> None:
        """Take in what the watch shows. Cheap, never raises; old news and our own writes cause no work."""
        task = event.task
        desk = self._desks.get(task.name)
        if event.kind == "gone":
            self._echo.gone(task.name)
            if desk is not None and desk.uid == task.metadata.uid:
                self._drop(desk)
            return
        self._echo.heard(task.name, task.metadata.resource_version)
        if desk is not None and desk.uid != task.metadata.uid:
            self._drop(desk)  # deleted and made again under the same name
            desk = None
        if desk is None:
            desk = self._desks.open(task)
        if self._desks.learn(desk, task):
            self.queue.add(task.name)

    def wake_model(self, model: str) -> None:
        """Look at every unfinished task of this model: it came, went or changed."""
        for name in self._desks.of_model(model):
            self.queue.add(name)

    @property
    def idle(self) -> bool:
        """Whether nothing is being done now; wake-ups in the future do not count."""
        return self.queue.idle and self._jobs.idle and self._notes.idle

    async def run(self) -> None:
        """Work until `stop` is called (then what runs gets a moment to end) or until cancelled (at once)."""
        loops = [self._work() for _ in range(self._settings.workers)]
        loops += [self.queue.run_timer(), self._resync(), self._notes.run(), self._until_stopped()]
        tasks = [asyncio.create_task(each) for each in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a loop that failed is a bug: let it be seen
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._jobs.close()

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Start nothing more, let attempts that are nearly done be published, then end `run`.

        What still runs after the grace period is found again by the next controller: by its manifest if it got done,
        else it counts as interrupted and is started again.
        """
        self._slots.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while not self.idle:  # noqa: ASYNC110 - three parts must be idle at one moment; once per process
                    await asyncio.sleep(0.01)
        self._stopping.set()

    async def _until_stopped(self) -> None:
        await self._stopping.wait()

    async def _work(self) -> None:
        while True:
            name = await self.queue.get()
            started = time.perf_counter()
            try:
                result = await self._pass(name)
            finally:
                self.queue.done(name)
            self._metrics.reconciles.labels(result).inc()
            self._metrics.reconcile_seconds.observe(time.perf_counter() - started)

    async def _resync(self) -> None:
        """Look at every task that is not at rest now and then: a safety net, not a mechanism."""
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            for name in self._desks.active():
                self.queue.add(name)

    async def _pass(self, name: str) -> str:
        """Reconcile, and turn whatever goes wrong into a later pass. Returns the result's name for the metrics."""
        desk = self._desks.get(name)
        if desk is None:
            return "gone"
        try:
            await self._reconciler.reconcile(desk)
        except NotFound:
            self._drop(desk)
            return "gone"
        except Conflict:
            desk.task = None  # read it again
            self._later(desk)
            return "conflict"
        except Unavailable as error:
            log.warning("%s: %s", name, error)
            self._later(desk)
            return "unavailable"
        except Exception:
            log.exception("%s: cannot be reconciled", name)
            self._later(desk)
            return "error"
        desk.errors = 0
        return "ok"

    def _later(self, desk: Desk) -> None:
        if desk.attempt is None:
            self._slots.release(desk.name)  # others go first while this one backs off
        delay = min(BACKOFF_BASE * 2 ** min(desk.errors, 16), BACKOFF_CAP) * self._dice.uniform(0.5, 1.0)
        desk.errors += 1
        self.queue.wake_earlier(desk.name, self._clock.now() + timedelta(seconds=delay))

    def _job_ended(self, desk: Desk, kind: Job, error: BaseException | None) -> None:
        if kind == "attempt" and _casts_doubt(desk):
            self._models.suspect()
        if desk not in self._desks:
            return
        if error is None:
            self.queue.add(desk.name)
            return
        log.warning("%s: %s: %s", desk.name, kind, error)
        self._later(desk)

    def _progressed(self, desk: Desk) -> None:
        if desk in self._desks:
            self.queue.add(desk.name)

    def _drop(self, desk: Desk) -> None:
        """Forget a task that is gone, and cancel what still runs for it."""
        if self._desks.close(desk):
            self.queue.forget(desk.name)
            self._slots.release(desk.name)
        self._jobs.cancel(desk)


def _casts_doubt(desk: Desk) -> bool:
    """Tell whether the attempt ended in a way that makes one look at Ray before handing out more."""
    match desk.outcome:
        case NotStarted():
            return True
        case Failed(reason=reason):
            return reason is Reason.WORKER_LOST
        case _:
            return False
