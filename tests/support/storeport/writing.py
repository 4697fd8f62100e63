"""What is written to a task that exists: its status, fenced by versions, and whether it is suspended."""

import asyncio
import itertools

import pytest

from support.samples import result
from support.storeport.steps import full_status, made, moved, removed
from velum.api.status import Phase, WebhookStatus
from velum.api.task import AnonymizationTask
from velum.errors import Conflict, NotFound
from velum.tasks.store import Store


class WritingStatus:
    async def test_a_status_comes_back_as_it_was_written(self, store: Store, other: Store) -> None:
        task = await made(store)
        written = await store.write_status(task, full_status())
        assert written.status == full_status()
        assert written.metadata.resource_version != task.metadata.resource_version
        assert written.metadata.generation == 1
        assert written.spec == task.spec
        assert await other.get(task.name) == written

    async def test_a_stale_writer_loses(self, store: Store, other: Store) -> None:
        task = await made(store)
        newer = await moved(other, task, Phase.RUNNING)
        with pytest.raises(Conflict) as error:
            await moved(store, task, Phase.FAILED)
        assert error.value.name == task.name
        assert await store.get(task.name) == newer

    async def test_of_many_writers_at_one_version_one_wins(self, store: Store, other: Store) -> None:
        task = await made(store)
        statuses = [task.status.model_copy(update={"attempt": n}) for n in range(1, 9)]
        writes = (
            each.write_status(task, s) for each, s in zip(itertools.cycle([store, other]), statuses, strict=False)
        )
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        winners = [outcome for outcome in outcomes if isinstance(outcome, AnonymizationTask)]
        assert [type(o).__name__ for o in outcomes if o not in winners] == ["Conflict"] * 7
        assert [await store.get(task.name)] == winners

    async def test_a_change_of_the_spec_makes_a_writer_stale(self, store: Store, other: Store) -> None:
        task = await made(store)
        await other.suspend(task.name, True)
        with pytest.raises(Conflict):
            await moved(store, task, Phase.RUNNING)

    async def test_deletion_makes_a_writer_stale(self, store: Store, other: Store) -> None:
        task = await made(store)
        await other.delete(task.name)
        with pytest.raises(Conflict):
            await moved(store, task, Phase.RUNNING)

    async def test_what_disappears_is_gone(self, store: Store, other: Store) -> None:
        task = await store.write_status(await made(store), full_status())
        thinner = task.status.model_copy(
            update={
                "result": result(attempt=4, person=1),
                "webhook": WebhookStatus(),
                "conditions": (),
                "retry_at": None,
                "media_type": None,
            }
        )
        task = await store.write_status(task, thinner)
        assert task.status == thinner
        assert task.status.result is not None
        assert task.status.result.detections == {"person": 1}
        bare = thinner.model_copy(update={"result": None, "webhook": None, "started_at": None, "finished_at": None})
        task = await store.write_status(task, bare)
        assert task.status == bare
        assert (await other.get(task.name)).status == bare

    async def test_a_write_that_changes_nothing_makes_no_version(self, store: Store) -> None:
        task = await store.write_status(await made(store), full_status())
        again = await store.write_status(task, full_status())
        assert again.metadata.resource_version == task.metadata.resource_version

    async def test_nothing_to_write_to(self, store: Store) -> None:
        task = await made(store)
        await removed(store, task)
        with pytest.raises(NotFound):
            await moved(store, task, Phase.RUNNING)

    async def test_not_to_a_successor_of_the_same_name(self, store: Store) -> None:
        task = await made(store)
        await removed(store, task)
        successor = await made(store, task.name)
        with pytest.raises(Conflict):
            await moved(store, task, Phase.RUNNING)
        assert await store.get(task.name) == successor


class Suspending:
    async def test_suspend_and_resume_are_generations(self, store: Store, other: Store) -> None:
        task = await made(store)
        await store.suspend(task.name, True)
        suspended = await other.get(task.name)
        assert (suspended.spec.suspend, suspended.metadata.generation) == (True, 2)
        await other.suspend(task.name, False)
        resumed = await store.get(task.name)
        assert (resumed.spec, resumed.metadata.generation) == (task.spec, 3)

    async def test_suspending_twice_changes_nothing(self, store: Store) -> None:
        task = await made(store)
        await store.suspend(task.name, True)
        once = await store.get(task.name)
        await store.suspend(task.name, True)
        assert await store.get(task.name) == once

    async def test_nobody_cannot_be_suspended(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.suspend("nobody", True)
