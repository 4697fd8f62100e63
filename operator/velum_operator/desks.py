"""All desks of a controller, and the two views of them that must not cost a walk over all: how many tasks are in which
condition, and which unfinished tasks use a model."""

from collections import defaultdict
from collections.abc import Iterator

from velum.api.task import AnonymizationTask
from velum_operator.desk import Desk, newer
from velum_operator.metrics import CONDITIONS, ControllerMetrics


class Desks:
    """Desks by the name of their task."""

    def __init__(self, metrics: ControllerMetrics) -> None:
        self._metrics = metrics
        self._desks: dict[str, Desk] = {}
        self._unfinished: defaultdict[str, set[str]] = defaultdict(set)
        for condition in CONDITIONS:  # a former term of this process may have counted
            metrics.tasks.labels(condition).set(0)

    def get(self, name: str) -> Desk | None:
        """Return the task's desk, None when there is none."""
        return self._desks.get(name)

    def __contains__(self, desk: Desk) -> bool:
        """Tell whether this very desk is still in use: its task may be gone, or made again under the same name."""
        return self._desks.get(desk.name) is desk

    def active(self) -> Iterator[str]:
        """Yield the names of tasks that are not at rest."""
        yield from [desk.name for desk in self._desks.values() if desk.task is not None]

    def of_model(self, model: str) -> tuple[str, ...]:
        """Return the names of the unfinished tasks of a model."""
        return tuple(self._unfinished.get(model, ()))

    def open(self, task: AnonymizationTask) -> Desk:
        """Return a new desk for this task, with nothing on it."""
        desk = Desk(task.name, task.metadata.uid, "", None)
        self._desks[task.name] = desk
        self._metrics.tasks.labels(desk.condition).inc()
        return desk

    def learn(self, desk: Desk, task: AnonymizationTask) -> bool:
        """Put the task on its desk if it is news; tell whether it was."""
        if not newer(task.metadata.resource_version, desk.version):
            return False
        self.put(desk, task)
        return True

    def put(self, desk: Desk, task: AnonymizationTask) -> None:
        """Put the task on its desk, whatever was there."""
        desk.task, desk.version, desk.model = task, task.metadata.resource_version, task.spec.model
        self._count(desk, condition_of(task))
        if task.status.finished:
            self._leave_model(desk)
        elif desk in self:  # it may have been closed while somebody read the task
            self._unfinished[desk.model].add(desk.name)

    def close(self, desk: Desk) -> bool:
        """Take the desk away; tell whether it was still in use."""
        if desk not in self:
            return False
        del self._desks[desk.name]
        self._metrics.tasks.labels(desk.condition).dec()
        self._leave_model(desk)
        return True

    def _count(self, desk: Desk, condition: str) -> None:
        if condition != desk.condition and desk in self:
            self._metrics.tasks.labels(desk.condition).dec()
            self._metrics.tasks.labels(condition).inc()
            desk.condition = condition

    def _leave_model(self, desk: Desk) -> None:
        names = self._unfinished.get(desk.model)
        if names is not None:
            names.discard(desk.name)
            if not names:
                del self._unfinished[desk.model]


def condition_of(task: AnonymizationTask) -> str:
    """Return the label that metrics count this task under."""
    return task.status.phase.lower()
