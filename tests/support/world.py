"""A small world in which tasks live: two controllers, replicas, a receiver of webhooks, people, a janitor.

The decisions are the real ones (`decide`), the records are in a real SQLite file, the blobs are real files. What the
world replaces is time and order: everything that takes time is cut into steps (one status write, one file written,
one file copied, one call made), and whoever drives the world says which step comes next. Between any two steps a
controller can crash, which loses all that it had only in memory, or a replica can die or become a zombie: cancelled,
but still writing.
"""

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from support.samples import ManualClock, spec
from velum.api.meta import new_name
from velum.api.reasons import Reason
from velum.api.status import Phase, ResultFile, TaskResult
from velum.api.task import AnonymizationTask
from velum.errors import Conflict, NotFound
from velum.tasks import decision as todo
from velum.tasks.decision import Decision, Facts
from velum.tasks.order import Failed, Manifest, NotStarted, Outcome, Succeeded, WorkOrder, work_folder, work_order
from velum.tasks.sqlite import SqliteStore

Decide = Callable[[AnonymizationTask, Facts, datetime], Decision]

FILES = ("anonymised.jpg", "metadata.json")


@dataclass
class Replica:
    """One attempt being worked on. It writes its files one by one, the manifest last, then answers whoever listens."""

    order: WorkOrder
    picture: str  # "good", or the reason it fails for
    number: int
    controller: "Controller | None"
    written: list[ResultFile] = field(default_factory=list)

    def step(self, root: Path) -> bool:
        """Do the next thing; tell whether the work is over."""
        folder = root / self.order.folder
        folder.mkdir(parents=True, exist_ok=True)
        if len(self.written) < len(FILES):
            name = FILES[len(self.written)]
            if self.picture != "good" and self.written:
                self.answer(Failed(Reason(self.picture), "as the picture is"))
                return True
            data = f"{name} of {self.order.uid}-{self.order.attempt} by replica {self.number}".encode()
            (folder / name).write_bytes(data)
            key, sha256 = self.order.folder + name, hashlib.sha256(data).hexdigest()
            self.written.append(ResultFile(key=key, media_type="x/y", size=len(data), sha256=sha256))
            return False
        result = TaskResult(attempt=self.order.attempt, anonymised=self.written[0], metadata=self.written[1])
        manifest = Manifest(uid=self.order.uid, media_type="image/jpeg", result=result, seconds=1)
        scratch = folder / "manifest.part"
        scratch.write_text(manifest.model_dump_json(by_alias=True))
        scratch.replace(root / self.order.manifest_key)
        self.answer(Succeeded(manifest))
        return True

    def answer(self, outcome: Outcome) -> None:
        if self.controller is not None:
            self.controller.hear(self, outcome)


class Controller:
    """What one controller process has in memory, and its own connection to the records."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.seen: dict[str, AnonymizationTask] = {}  # may be stale: reading again is a step of its own
        self.running: dict[str, int] = {}
        self.outcomes: dict[str, tuple[int, Outcome]] = {}
        self.delivered: dict[str, str] = {}
        self.export_errors: dict[str, str] = {}
        self.exported: set[str] = set()
        self.files_removed: set[str] = set()
        self.steps: list[tuple[str, AnonymizationTask, object]] = []  # decided, not yet done

    def hear(self, replica: Replica, outcome: Outcome) -> None:
        name = replica.order.task
        if self.running.get(name) == replica.order.attempt:
            del self.running[name]
            self.outcomes[name] = (replica.order.attempt, outcome)

    def forget_events(self, name: str) -> None:
        """Forget what a decision has used up."""
        for memory in (self.outcomes, self.delivered, self.export_errors):
            memory.pop(name, None)
        self.exported.discard(name)
        self.files_removed.discard(name)

    def busy_with(self, name: str) -> bool:
        return any(step[0] == name for step in self.steps)


@dataclass(frozen=True)
class CopyFile:
    """A step of `Export`."""

    role: str


@dataclass(frozen=True)
class RemoveOne:
    """A step of `RemoveFiles`."""


class World:
    """Everything, and the steps that can be taken."""

    def __init__(self, root: Path, decide: Decide, make_store: Callable[[Path, ManualClock], SqliteStore]) -> None:
        self.decide = decide
        self.root = root / "blobs"
        self.root.mkdir()
        self.clock = ManualClock()
        self._make_store = lambda: make_store(root / "tasks.db", self.clock)
        self._runner = asyncio.Runner()
        self.people = self._make_store()
        self.controllers = [Controller(self._make_store()) for _ in range(2)]
        self.replicas: list[Replica] = []
        self.replicas_ever = 0
        self.accepted: dict[str, str] = {}  # name → picture
        self.unwanted: set[str] = set()  # deleted by people, or with a time to live
        self.calls: dict[str, int] = {}
        self.premature: list[str] = []

    def close(self) -> None:
        for store in (self.people, *(each.store for each in self.controllers)):
            self._runner.run(store.aclose())
        self._runner.close()

    # People

    def create(self, picture: str, **fields: object) -> str:
        name = new_name()
        self.write(f"tasks/default/{name}/input", b"pixels")
        if "destination" in fields:
            fields["destination"] = {"prefix": f"out/{name}-"}
        self._runner.run(self.people.create(name, spec(**fields), labels={}))
        self.accepted[name] = picture
        if fields.get("ttl_seconds_after_finished") is not None:
            self.unwanted.add(name)
        return name

    def delete(self, name: str) -> None:
        self.unwanted.add(name)
        self._wish(self.people.delete(name))

    def purge(self, name: str) -> None:
        self._wish(self.people.purge(name))

    def suspend(self, name: str, suspended: bool) -> None:
        self._wish(self.people.suspend(name, suspended))

    def _wish(self, call: Coroutine[Any, Any, None]) -> None:
        with suppress(NotFound):
            self._runner.run(call)

    def record(self, name: str) -> AnonymizationTask | None:
        try:
            return self._runner.run(self.people.get(name))
        except NotFound:
            return None

    # Controllers

    def crash(self, index: int) -> None:
        """Kill a controller and start it again. Its replicas work on, and nobody hears them."""
        old = self.controllers[index]
        self._runner.run(old.store.aclose())
        for replica in self.replicas:
            if replica.controller is old:
                replica.controller = None
        self.controllers[index] = Controller(self._make_store())

    def look(self, controller: Controller, name: str) -> None:
        try:
            controller.seen[name] = self._runner.run(controller.store.get(name))
        except NotFound:
            controller.seen.pop(name, None)

    def facts(self, controller: Controller, task: AnonymizationTask, slot: bool) -> Facts:
        name = task.name
        attempt, outcome = controller.outcomes.get(name, (0, None))
        running = controller.running.get(name)
        return Facts(
            running=running,
            outcome=outcome,
            outcome_attempt=attempt,
            manifest=self.manifest(task) if running is None else None,
            slot=slot,
            exported=name in controller.exported,
            export_error=controller.export_errors.get(name, ""),
            delivered=controller.delivered.get(name),
            files_removed=name in controller.files_removed,
        )

    def manifest(self, task: AnonymizationTask) -> Manifest | None:
        if task.status.attempt == 0:
            return None
        path = self.root / work_order(task, task.status.attempt).manifest_key
        return Manifest.model_validate_json(path.read_text()) if path.exists() else None

    def reconcile(self, controller: Controller, name: str, *, slot: bool = True) -> bool:
        """One pass: decide, write the status, remember what to do. Tell whether anything came of it."""
        task = controller.seen.get(name)
        if task is None or controller.busy_with(name):
            return False
        decision = self.decide(task, self.facts(controller, task, slot), self.clock.now())
        if decision.status != task.status:
            try:
                task = self._runner.run(controller.store.write_status(task, decision.status))
            except (Conflict, NotFound):
                self.look(controller, name)
                return True
            controller.seen[name] = task
        controller.forget_events(name)
        for action in decision.actions:
            if isinstance(action, todo.Start):
                controller.running[name] = action.attempt
            controller.steps += [(name, task, step) for step in _steps(action, task)]
        return bool(decision.actions) or decision.status != task.status

    def act(self, controller: Controller, *, well: bool = True) -> bool:
        """Do the next of the decided things; `well` says whether what can fail succeeds."""
        if not controller.steps:
            return False
        name, task, step = controller.steps.pop(0)
        match step:
            case todo.Start(attempt):
                self._start(controller, task, attempt)
            case todo.Cancel():
                controller.running.pop(name, None)
                self._cancel(controller, name, reached=well)
            case CopyFile(role):
                self._copy(controller, task, role, well)
            case todo.Export():
                if name not in controller.export_errors:
                    controller.exported.add(name)
            case todo.Deliver():
                self._deliver(controller, name, well)
            case _:
                self._remove(controller, task, step)
        return True

    def _remove(self, controller: Controller, task: AnonymizationTask, step: object) -> None:
        match step:
            case RemoveOne():
                files = [path for path in sorted((self.root / task.folder).rglob("*")) if path.is_file()]
                for path in files[:1]:
                    path.unlink()
            case todo.Tidy():
                shutil.rmtree(self.root / work_folder(task), ignore_errors=True)
            case todo.RemoveFiles():
                shutil.rmtree(self.root / task.folder, ignore_errors=True)
                controller.files_removed.add(task.name)
            case todo.Release():
                self._runner.run(controller.store.release(task))
            case todo.Delete():
                self._wish(controller.store.delete(task.name))
            case _:
                raise AssertionError(f"the world cannot do {step}")

    def _start(self, controller: Controller, task: AnonymizationTask, attempt: int) -> None:
        self.replicas_ever += 1
        order = work_order(task, attempt)
        self.replicas.append(Replica(order, self.accepted[task.name], self.replicas_ever, controller))

    def _cancel(self, controller: Controller, name: str, *, reached: bool) -> None:
        for replica in [each for each in self.replicas if each.controller is controller and each.order.task == name]:
            replica.controller = None
            if reached:
                self.replicas.remove(replica)  # else it is a zombie now

    def _copy(self, controller: Controller, task: AnonymizationTask, role: str, well: bool) -> None:
        result, destination = task.status.result, task.spec.destination
        assert result is not None
        assert destination is not None
        source = self.root / result.files()[role].key
        if well and source.exists():
            self.write(destination.prefix + role, source.read_bytes())
        else:
            controller.export_errors[task.name] = "the copy failed"

    def _deliver(self, controller: Controller, name: str, well: bool) -> None:
        now = self.record(name)
        if now is not None and not now.status.finished:
            self.premature.append(name)
        if well:
            self.calls[name] = self.calls.get(name, 0) + 1
        controller.delivered[name] = "" if well else "refused"

    # Replicas and time

    def work(self, replica: Replica) -> None:
        if replica.step(self.root):
            self.replicas.remove(replica)

    def die(self, replica: Replica) -> None:
        """Kill a replica. One that had not begun looks as if it had never taken the work."""
        self.replicas.remove(replica)
        replica.answer(Failed(Reason.WORKER_LOST, "killed") if replica.written else NotStarted("no replica"))

    def sweep(self) -> None:
        """The janitor: remove the folder of every task that has no record, or whose files were to go."""
        for folder in (self.root / "tasks" / "default").glob("*"):
            record = self.record(folder.name)
            if record is None or record.status.phase is Phase.DELETED:
                shutil.rmtree(folder)

    def write(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def files(self, prefix: str) -> list[str]:
        found = (path for path in self.root.rglob("*") if path.is_file())
        keys = (str(path.relative_to(self.root)) for path in found)
        return sorted(key for key in keys if key.startswith(prefix))


def _steps(action: object, task: AnonymizationTask) -> list[object]:
    """Return the action cut into steps, so that a crash can fall between them."""
    if isinstance(action, todo.Export):
        assert task.status.result is not None
        return [*(CopyFile(role) for role in task.status.result.files()), action]
    if isinstance(action, todo.RemoveFiles):
        return [RemoveOne(), RemoveOne(), action]
    return [action]
