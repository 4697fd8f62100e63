"""What the operator's tests share: a controller on a real store and a real folder, with only Ray Serve played.

`Replicas` is a Dispatcher that works like a replica: it writes real files and a real manifest, and a test tells it for
each task how its attempts end, or to hold on until told.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from support.samples import ManualClock
from velum.api.status import ResultFile, TaskResult
from velum.api.task import AnonymizationTask, TaskSpec
from velum.clock import Clock
from velum.errors import NotFound
from velum.settings import Settings
from velum.storage import BlobStore, Storage
from velum.tasks.order import Failed, Manifest, Outcome, Succeeded, WorkOrder
from velum.tasks.store import Store, TaskEvent
from velum_operator.controller import Controller
from velum_operator.dispatch import Told
from velum_operator.metrics import ControllerMetrics
from velum_operator.slots import Slots

PATIENCE = 20.0
"""Seconds until a test gives up waiting; never waited for in a test that passes."""


async def until(holds: Callable[[], Any], what: str = "the condition") -> Any:
    """Return what `holds` returns as soon as it is true."""
    async with asyncio.timeout(PATIENCE):
        while not (value := holds()):  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.002)
    return value


async def until_async(holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The same for a question that must be awaited."""
    async with asyncio.timeout(patience):
        while not (value := await holds()):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    return value


def settings(folder: Path, **flags: dict[str, Any]) -> Settings:
    """Settings with both stores in a folder; `flags` as `Settings.load` takes them."""
    storage = {"input": f"file://{folder}/in", "output": f"file://{folder}/out"}
    api = {"endpoint": "http://velum.example:7000", **flags.pop("api", {})}
    return Settings.load(flags={"storage": storage, "api": api, **flags})


def storage_of(given: Settings) -> Storage:
    return Storage.open(given.storage.input, given.storage.output)


async def write_result(outputs: BlobStore, order: WorkOrder) -> Manifest:
    """Write what a replica writes: a file, then the manifest that names it."""
    data = f"anonymised {order.uid} {order.attempt}".encode()
    key = f"{order.folder}anonymised.jpg"
    await outputs.put(key, data)
    file = ResultFile(key=key, media_type="image/jpeg", size=len(data), sha256=hashlib.sha256(data).hexdigest())
    result = TaskResult(attempt=order.attempt, anonymised=file, detections={"face": 2})
    manifest = Manifest(uid=order.uid, media_type="image/jpeg", result=result, seconds=0.01)
    await outputs.put(order.manifest_key, manifest.model_dump_json(by_alias=True).encode())
    return manifest


Ending = Outcome | BaseException | None


@dataclass
class Replicas:
    """Plays Ray Serve. `endings`: per task, how its next attempts end; afterwards they succeed."""

    outputs: BlobStore
    endings: dict[str, list[Ending]] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    orders: list[WorkOrder] = field(default_factory=list)
    cancelled: list[tuple[str, int]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def hold(self, name: str) -> asyncio.Event:
        """Make attempts at this task wait until the event is set."""
        return self.held.setdefault(name, asyncio.Event())

    def of(self, name: str) -> list[int]:
        """The attempts that were handed out for a task."""
        return [order.attempt for order in self.orders if order.task == name]

    async def run(self, order: WorkOrder, told: Told) -> Outcome:
        self.orders.append(order)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if order.task in self.held:
                await self.held[order.task].wait()
            endings = self.endings.get(order.task, [])
            ending = endings.pop(0) if endings else None
            if isinstance(ending, BaseException):
                raise ending
            return ending if ending is not None else Succeeded(await write_result(self.outputs, order))
        except asyncio.CancelledError:
            self.cancelled.append((order.task, order.attempt))
            raise
        finally:
            self.running -= 1


WEBHOOK = {"url": "https://receiver.example/hook"}


def done(task: AnonymizationTask) -> bool:
    return task.status.finished


def unmount(folder: Path) -> None:
    """Make every call to a store fail, as on a disk that was unmounted."""
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")


def mount(folder: Path) -> None:
    folder.unlink()
    folder.with_name("away").rename(folder)


class Receiver:
    """A Deliverer whose answers a test gives in advance; afterwards it takes everything."""

    def __init__(self) -> None:
        self.answers: list[str | BaseException] = []
        self.calls: list[AnonymizationTask] = []

    async def deliver(self, task: AnonymizationTask) -> str:
        self.calls.append(task)
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, BaseException):
            raise answer
        return answer


@dataclass
class StillModels:
    """Models that do not change by themselves."""

    seen: tuple[Any, str] = ("known", "")
    wanted: set[str] = field(default_factory=set)
    suspected: int = 0

    def view(self, spec: TaskSpec) -> Any:
        return self.seen

    def want(self, name: str) -> None:
        self.wanted.add(name)

    def suspect(self) -> None:
        self.suspected += 1


class Counting:
    """A store that counts what is asked of the real one, and fails when told to: the seam for counting writes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: list[str] = []
        self.fail: dict[str, list[BaseException]] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in {"watch", "watch_models"}:
            return method

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.fail.get(name):
                raise self.fail[name].pop(0)
            return await method(*args, **kwargs)

        return counted

    async def identity(self) -> str:
        return str(await self._store.identity())  # type: ignore[attr-defined] - only SQLite's has one

    def count(self, name: str) -> int:
        return self.calls.count(name)


@dataclass
class Bench:
    """A running controller and everything around it."""

    store: Any
    storage: Storage
    replicas: Replicas
    receiver: Any
    models: StillModels
    slots: Slots
    clock: Clock
    registry: CollectorRegistry
    controller: Controller
    running: asyncio.Task[None]
    following: asyncio.Task[None]
    events: list[TaskEvent] = field(default_factory=list)

    async def settled(self) -> None:
        """Return when everything that was seen so far is worked off."""
        await until(lambda: self.controller.idle)

    async def passes_over(self) -> None:
        """Return when no pass waits or runs; attempts may."""
        await until(lambda: self.controller.queue.idle)

    async def advance(self, seconds: float) -> None:
        """Set the clock forward, and let what is due happen."""
        assert isinstance(self.clock, ManualClock)
        self.clock.forward(seconds=seconds)
        self.controller.queue.release_due()

    async def until(
        self, name: str, holds: Callable[[AnonymizationTask], bool], patience: float = PATIENCE
    ) -> AnonymizationTask:
        """Return the task as soon as it is like this."""

        async def reached() -> AnonymizationTask | None:
            task = await self.store.get(name)
            return task if holds(task) else None

        task: AnonymizationTask = await until_async(reached, patience)
        return task

    async def until_later(self, name: str, holds: Callable[[AnonymizationTask], bool]) -> AnonymizationTask:
        """The same while time passes by the minute, so that no back-off or wake-up is waited for in vain."""

        async def reached() -> AnonymizationTask | None:
            await self.settled()
            await self.advance(60)
            task = await self.store.get(name)
            return task if holds(task) else None

        task: AnonymizationTask = await until_async(reached)
        return task

    async def gone(self, name: str) -> None:
        """Return when the record is gone."""

        async def reached() -> bool:
            try:
                await self.store.get(name)
            except NotFound:
                return True
            return False

        await until_async(reached)

    async def crash(self) -> None:
        """Lose all that is in memory, at once."""
        self.running.cancel()
        self.following.cancel()
        await asyncio.gather(self.running, self.following, return_exceptions=True)

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def bench(
    store: Any,
    given: Settings,
    *,
    capacity: int = 100,
    clock: Clock | None = None,
    replicas: Replicas | None = None,
    receiver: Any = None,
    models: StillModels | None = None,
    storage: Storage | None = None,
) -> AsyncIterator[Bench]:
    """Start a controller on this store. The model "default" has room for `capacity` attempts."""
    storage = storage or storage_of(given)
    clock = clock or ManualClock()
    replicas = replicas or Replicas(storage.outputs)
    receiver = receiver if receiver is not None else Receiver()
    models, slots, registry = models or StillModels(), Slots(), CollectorRegistry()
    controller = Controller(
        store,
        storage,
        replicas,
        receiver,
        models,
        slots,
        clock,
        given.controller.model_copy(update={"workers": 4}),
        ControllerMetrics(registry),
        dice=random.Random(7),
    )
    slots.resize("default", capacity)
    events: list[TaskEvent] = []

    async def follow() -> None:
        async for event in store.watch():
            events.append(event)
            controller.observe(event)

    async with AsyncExitStack() as stack:
        running = asyncio.create_task(controller.run())
        following = asyncio.create_task(follow())
        found = Bench(
            store, storage, replicas, receiver, models, slots, clock, registry, controller, running, following, events
        )
        stack.push_async_callback(found.crash)
        yield found
        for task in (running, following):
            if task.done() and not task.cancelled():
                task.result()  # an error in the loop must fail the test


__all__ = [
    "Bench",
    "Counting",
    "Failed",
    "Receiver",
    "Replicas",
    "StillModels",
    "bench",
    "settings",
    "storage_of",
    "until",
    "write_result",
]
