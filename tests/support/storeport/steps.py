"""What the tests of a store do again and again: make, move and remove tasks, and read a watch."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.samples import NOW, file, spec
from velum.api.conditions import COMPLETE, set_condition
from velum.api.meta import new_name
from velum.api.status import Phase, TaskResult, TaskStatus, WebhookState, WebhookStatus
from velum.api.task import AnonymizationTask
from velum.tasks.store import SecretHeader, Store

HEADER = SecretHeader("X-Api-Key", "s3cr3t-välue")
WEBHOOK = {"url": "https://example.com/done"}
PATIENCE = 20  # seconds until a watch that shows nothing has failed


async def made(store: Store, name: str | None = None, **fields: Any) -> AnonymizationTask:
    return await store.create(name or new_name(), spec(**fields), labels={})


async def moved(store: Store, task: AnonymizationTask, phase: Phase) -> AnonymizationTask:
    return await store.write_status(task, task.status.model_copy(update={"phase": phase}))


async def removed(store: Store, task: AnonymizationTask) -> None:
    await store.delete(task.name)
    await store.release(await store.get(task.name))


def full_status() -> TaskStatus:
    return TaskStatus(
        phase=Phase.COMPLETE,
        conditions=set_condition((), COMPLETE, "True", "Anonymized", "2 face", generation=1, now=NOW),
        observed_generation=1,
        media_type="image/jpeg",
        progress_percent=100,
        attempt=3,
        failures=1,
        message="2 face",
        reason="Anonymized",
        started_at=NOW,
        finished_at=NOW,
        retry_at=NOW,
        result=TaskResult(
            attempt=3,
            anonymised=file("a/picture.jpg"),
            binary_mask=file("a/binary.png"),
            instance_mask=file("a/instance.png"),
            metadata=file("a/metadata.json"),
            detections={"face": 2, "license-plate": 1},
        ),
        webhook=WebhookStatus(state=WebhookState.SENT, attempts=1, next_attempt_at=NOW, last_error="refused"),
    )


class Seen:
    """Reads a watch and remembers what it showed."""

    def __init__(self, events: AsyncIterator[Any], subject: Callable[[Any], Any]) -> None:
        self._events = events
        self._subject = subject
        self.present: dict[str, Any] = {}
        self.log: list[tuple[str, str, str]] = []

    async def until(self, reached: Callable[["Seen"], bool]) -> "Seen":
        async with asyncio.timeout(PATIENCE):
            while not reached(self):
                event = await anext(self._events)
                subject = self._subject(event)
                self.log.append((event.kind, subject.name, subject.metadata.uid))
                if event.kind == "present":
                    self.present[subject.name] = subject
                elif subject.name in self.present and self.present[subject.name].metadata.uid == subject.metadata.uid:
                    del self.present[subject.name]
        return self
