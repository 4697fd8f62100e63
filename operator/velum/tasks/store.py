"""The TaskStore port: where tasks and models are kept. Nothing above it knows which store it is.

Two adapters implement it: `velum.tasks.kubernetes` (custom resources) and `velum.tasks.sqlite` (one file on a
laptop). Both behave alike where it matters:

* `write_status` is a compare-and-swap on the resource version: the fence of attempts rests on it.
* A task with a finalizer is only marked by `delete`; it goes when `release` removes the finalizer.
* `watch` first yields every existing task (or model), then changes as they come, and never loses one: after a break
  it lists again. An event may come more than once, so readers must be level-triggered.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from velum.api.model import AnonymizationModel, ModelSpec, ModelStatus
from velum.api.status import Phase, TaskStatus
from velum.api.task import AnonymizationTask, TaskSpec

PAGE = 500
"""Records per request where all are wanted, as kubectl does: no answer becomes huge."""


@dataclass(frozen=True)
class TaskEvent:
    """A task as it is now, or as it last was when it is gone."""

    kind: Literal["present", "gone"]
    task: AnonymizationTask


@dataclass(frozen=True)
class ModelEvent:
    """A model as it is now, or as it last was when it is gone."""

    kind: Literal["present", "gone"]
    model: AnonymizationModel


@dataclass(frozen=True)
class TaskPage:
    """Tasks in order of creation, and where the next page starts."""

    tasks: tuple[AnonymizationTask, ...]
    cursor: str | None


@dataclass(frozen=True)
class SecretHeader:
    """A header whose value must not be seen: no repr, no spec, no log."""

    name: str
    value: str

    def __repr__(self) -> str:
        return f"SecretHeader(name={self.name!r})"


class TaskStore(Protocol):
    """Tasks. Every method may raise `Unavailable`; other errors are named where they arise."""

    async def create(
        self, name: str, spec: TaskSpec, *, labels: dict[str, str], header: SecretHeader | None = None
    ) -> AnonymizationTask:
        """Keep a new task, with its finalizer, and the webhook's header as a secret owned by it.

        With a header the stored spec's `webhook.header_secret_ref` names that secret.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: the API server refuses the spec; `field` is its path.
        """
        ...

    async def get(self, name: str) -> AnonymizationTask:
        """Return the task as it is now. Raises NotFound."""
        ...

    async def list(self, *, phases: Sequence[Phase] = (), limit: int = 100, cursor: str | None = None) -> TaskPage:
        """Return tasks in order of creation; `phases` keeps only those. Raises InvalidInput for a bad cursor."""
        ...

    async def count_unfinished(self) -> int:
        """Return how many tasks wait or run."""
        ...

    async def write_status(self, task: AnonymizationTask, status: TaskStatus) -> AnonymizationTask:
        """Replace the status if the task is still at the version given. Raises Conflict, NotFound."""
        ...

    async def add_finalizer(self, task: AnonymizationTask) -> AnonymizationTask:
        """Make deletion wait for `release`. Raises Conflict, NotFound."""
        ...

    async def delete(self, name: str, *, keep_files: bool = False) -> None:
        """Ask for the task to go; `keep_files` leaves its files. Raises NotFound."""
        ...

    async def purge(self, name: str) -> None:
        """Ask for the task's files to go while the record stays. Raises NotFound."""
        ...

    async def suspend(self, name: str, suspended: bool) -> None:
        """Set `spec.suspend`. Raises NotFound."""
        ...

    async def release(self, task: AnonymizationTask) -> None:
        """Remove the finalizer: a task marked for deletion is gone now, with its secret. Gone already is fine."""
        ...

    async def header(self, task: AnonymizationTask) -> SecretHeader | None:
        """Return the webhook's secret header, None when the task has none. Raises NotFound when it should exist."""
        ...

    async def record_event(
        self, task: AnonymizationTask, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Note something for people to see beside the task. Best effort: never raises."""
        ...

    def watch(self) -> AsyncIterator[TaskEvent]:
        """Yield every task, then changes, until the iterator is closed. Raises Unavailable only at the first try."""
        ...

    async def check(self) -> None:
        """Raise Unavailable when the store does not answer."""
        ...


class ModelStore(Protocol):
    """Models. Every method may raise `Unavailable`."""

    async def get_model(self, name: str) -> AnonymizationModel:
        """Return the model as it is now. Raises NotFound."""
        ...

    async def list_models(self) -> tuple[AnonymizationModel, ...]:
        """Return all models by name."""
        ...

    async def put_model(self, name: str, spec: ModelSpec) -> AnonymizationModel:
        """Create the model or replace its spec."""
        ...

    async def write_model_status(self, model: AnonymizationModel, status: ModelStatus) -> AnonymizationModel:
        """Replace the status if the model is still at the version given. Raises Conflict, NotFound."""
        ...

    def watch_models(self) -> AsyncIterator[ModelEvent]:
        """Yield every model, then changes, until the iterator is closed."""
        ...


class Store(TaskStore, ModelStore, Protocol):
    """Tasks and models in one place."""


async def every(store: TaskStore, phases: Sequence[Phase] = ()) -> AsyncIterator[AnonymizationTask]:
    """Yield all tasks in order of creation; `phases` keeps only those. Each is as its page of the list showed it."""
    cursor = None
    while True:
        page = await store.list(phases=phases, limit=PAGE, cursor=cursor)
        for task in page.tasks:
            yield task
        cursor = page.cursor
        if cursor is None:
            return
