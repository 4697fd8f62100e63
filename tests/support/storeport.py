"""What every store must do, as tests. A store's test class inherits `StorePort` and provides `store` and `other`:
two stores on the same ground, as two processes have them.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest

from support.samples import NOW, file, model_spec, result, spec
from velum.api.conditions import COMPLETE, READY, set_condition
from velum.api.meta import FINALIZER, KEEP_FILES, PURGE_FILES, new_name
from velum.api.model import ModelStatus
from velum.api.status import Phase, TaskResult, TaskStatus, WebhookState, WebhookStatus
from velum.api.task import AnonymizationTask
from velum.errors import AlreadyExists, Conflict, InvalidInput, NotFound
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


class Creating:
    async def test_a_new_task_is_kept_whole(self, store: Store, other: Store) -> None:
        name = new_name()
        wanted = spec(filename="Straße 7.jpg", ignores=[{"left": 1, "top": 2, "width": 3, "height": 4}], suspend=True)
        task = await store.create(name, wanted, labels={"velum.dev/created-by": "rest"})
        assert (task.name, task.spec, task.metadata.labels) == (name, wanted, {"velum.dev/created-by": "rest"})
        assert task.metadata.finalizers == (FINALIZER,)
        assert task.metadata.uid
        assert task.metadata.resource_version
        assert task.metadata.generation == 1
        assert task.metadata.creation_timestamp is not None
        assert task.metadata.creation_timestamp.tzinfo is not None
        assert task.status == TaskStatus()
        assert await other.get(name) == task

    async def test_a_name_is_taken_once(self, store: Store, other: Store) -> None:
        first = await made(store)
        with pytest.raises(AlreadyExists) as error:
            await made(other, first.name, filename="second.jpg")
        assert (error.value.kind, error.value.name) == ("task", first.name)
        assert await store.get(first.name) == first

    async def test_of_many_creators_of_one_name_one_wins(self, store: Store, other: Store) -> None:
        name = new_name()
        stores = [store, other] * 4
        outcomes = await asyncio.gather(*(made(each, name) for each in stores), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyExists"] * 7 + ["AnonymizationTask"]

    @pytest.mark.parametrize("name", ["UPPER", "a/b", "../../etc", "-a", "a..b", "a_b", "x" * 254, "ä"])
    async def test_a_name_that_is_no_host_name_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidInput) as error:
            await made(store, name)
        assert error.value.field == "metadata.name"

    async def test_what_does_not_exist_is_named(self, store: Store) -> None:
        with pytest.raises(NotFound) as error:
            await store.get("nobody")
        assert (error.value.kind, error.value.name) == ("task", "nobody")


class Secrets:
    async def test_the_header_is_kept_apart(self, store: Store, other: Store) -> None:
        task = await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
        assert task.spec.webhook is not None
        assert task.spec.webhook.header_secret_ref is not None
        assert task.spec.webhook.header_secret_ref.name == f"{task.name}-webhook"
        assert HEADER.value not in repr(task) + repr(HEADER) + task.model_dump_json()
        found = await other.header(task)
        assert found == HEADER

    async def test_without_a_header_there_is_none(self, store: Store) -> None:
        assert await store.header(await made(store)) is None
        assert await store.header(await made(store, webhook=WEBHOOK)) is None

    async def test_a_reference_to_nothing_is_an_error(self, store: Store) -> None:
        task = await made(store, webhook={**WEBHOOK, "headerSecretRef": {"name": "mine"}})
        with pytest.raises(NotFound, match="mine"):
            await store.header(task)

    async def test_a_header_needs_a_webhook(self, store: Store) -> None:
        name = new_name()
        with pytest.raises(InvalidInput) as error:
            await store.create(name, spec(), labels={}, header=HEADER)
        assert error.value.field == "webhook"
        with pytest.raises(NotFound):
            await store.get(name)

    async def test_the_header_goes_with_its_task(self, store: Store) -> None:
        name = new_name()
        first = await store.create(name, spec(webhook=WEBHOOK), labels={}, header=HEADER)
        await removed(store, first)
        with pytest.raises(NotFound):
            await store.header(first)
        other = SecretHeader("Authorization", "Bearer two")
        second = await store.create(name, spec(webhook=WEBHOOK), labels={}, header=other)
        assert await store.header(second) == other


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


class Deleting:
    async def test_a_record_waits_for_its_finalizer(self, store: Store, other: Store) -> None:
        task = await made(store)
        await store.delete(task.name)
        marked = await other.get(task.name)
        assert marked.deleting
        assert not marked.keeps_files
        await store.delete(task.name)
        assert (await other.get(task.name)).metadata.deletion_timestamp == marked.metadata.deletion_timestamp
        await other.release(marked)
        with pytest.raises(NotFound):
            await store.get(task.name)
        await other.release(marked)  # gone already is fine

    async def test_release_needs_no_newest_version(self, store: Store) -> None:
        task = await made(store)
        await moved(store, task, Phase.RUNNING)
        await store.delete(task.name)
        await store.release(task)
        with pytest.raises(NotFound):
            await store.get(task.name)

    async def test_release_spares_a_successor_of_the_same_name(self, store: Store) -> None:
        task = await made(store)
        await removed(store, task)
        successor = await made(store, task.name)
        await store.delete(task.name)
        await store.release(task)
        assert (await store.get(task.name)).metadata.uid == successor.metadata.uid

    async def test_without_finalizer_it_goes_at_once(self, store: Store) -> None:
        task = await made(store)
        await store.release(task)
        released = await store.get(task.name)
        assert released.metadata.finalizers == ()
        await store.delete(task.name)
        with pytest.raises(NotFound):
            await store.get(task.name)

    async def test_a_finalizer_can_be_added_once_at_the_right_version(self, store: Store) -> None:
        task = await made(store)
        await store.release(task)
        released = await store.get(task.name)
        added = await store.add_finalizer(released)
        assert added.metadata.finalizers == (FINALIZER,)
        assert (await store.add_finalizer(added)).metadata.finalizers == (FINALIZER,)
        with pytest.raises(Conflict):
            await store.add_finalizer(released)

    async def test_files_can_be_kept(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name, keep_files=True)
        marked = await store.get(task.name)
        assert marked.metadata.annotations == {KEEP_FILES: "true"}
        assert marked.deleting
        assert marked.keeps_files

    async def test_a_later_wish_to_remove_files_wins(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name, keep_files=True)
        await store.delete(task.name)
        assert not (await store.get(task.name)).keeps_files

    async def test_a_later_wish_to_keep_files_comes_too_late(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name)
        await store.delete(task.name, keep_files=True)
        assert not (await store.get(task.name)).keeps_files

    async def test_purge_marks_and_keeps(self, store: Store, other: Store) -> None:
        task = await made(store)
        await store.purge(task.name)
        marked = await other.get(task.name)
        assert marked.purges_files
        assert not marked.deleting
        assert marked.metadata.annotations == {PURGE_FILES: "true"}

    async def test_nobody_cannot_be_deleted(self, store: Store) -> None:
        for wish in (store.delete("nobody"), store.delete("nobody", keep_files=True), store.purge("nobody")):
            with pytest.raises(NotFound):
                await wish


class Listing:
    async def test_pages_cover_all_in_order(self, store: Store, other: Store) -> None:
        names = sorted([new_name() for _ in range(7)])
        for name in names:
            await made(store, name)
        for limit in (1, 2, 3, 7, 100):
            listed: list[str] = []
            cursor: str | None = None
            while True:
                page = await other.list(limit=limit, cursor=cursor)
                assert len(page.tasks) <= limit
                listed += [task.name for task in page.tasks]
                cursor = page.cursor
                if cursor is None:
                    break
            assert listed == names

    async def test_pages_stay_right_while_tasks_go(self, store: Store) -> None:
        tasks = [await made(store, name) for name in sorted(new_name() for _ in range(5))]
        first = await store.list(limit=2)
        for task in tasks[:3]:
            await removed(store, task)
        rest = await store.list(limit=10, cursor=first.cursor)
        listed = [task.name for task in rest.tasks]
        # Whether the third is still listed is the store's choice (a snapshot, or what is there now).
        assert [name for name in listed if name != tasks[2].name] == [task.name for task in tasks[3:]]

    async def test_every_choice_of_phases(self, store: Store) -> None:
        fresh = await made(store)
        of_phase = {phase: [(await moved(store, await made(store), phase)).name] for phase in Phase}
        of_phase[Phase.PENDING].append(fresh.name)
        choices = [(p,) for p in Phase] + list(itertools.combinations(Phase, 2)) + [tuple(Phase)]
        for choice in choices:
            page = await store.list(phases=choice)
            assert {task.name for task in page.tasks} == {name for p in choice for name in of_phase[p]}, choice

    async def test_phases_and_pages_together(self, store: Store) -> None:
        tasks = [await made(store, name) for name in sorted(new_name() for _ in range(6))]
        for task in tasks[::2]:
            await moved(store, task, Phase.FAILED)
        first = await store.list(phases=[Phase.FAILED], limit=2)
        second = await store.list(phases=[Phase.FAILED], limit=2, cursor=first.cursor)
        assert [t.name for t in (*first.tasks, *second.tasks)] == [t.name for t in tasks[::2]]
        assert second.cursor is None

    @pytest.mark.parametrize("cursor", ["nonsense", "e30=", "", "ä", "W10="])
    async def test_a_strange_cursor_is_refused(self, store: Store, cursor: str) -> None:
        with pytest.raises(InvalidInput) as error:
            await store.list(cursor=cursor)
        assert error.value.field == "cursor"

    async def test_a_page_holds_at_least_one(self, store: Store) -> None:
        with pytest.raises(InvalidInput) as error:
            await store.list(limit=0)
        assert error.value.field == "limit"

    async def test_unfinished_are_counted(self, store: Store, other: Store) -> None:
        assert await store.count_unfinished() == 0
        await made(store)
        for phase in Phase:
            await moved(store, await made(store), phase)
        assert await other.count_unfinished() == 4  # two pending, one running, one suspended


class Watching:
    async def test_first_what_is_there_then_what_happens(self, store: Store, other: Store) -> None:
        old = await made(store)
        async with aclosing(other.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: old.name in s.present)
            assert seen.present[old.name] == old
            new = await made(store)
            await seen.until(lambda s: new.name in s.present)
            running = await moved(store, new, Phase.RUNNING)
            await seen.until(lambda s: s.present[new.name] == running)
            await store.delete(new.name)
            await seen.until(lambda s: s.present[new.name].deleting)
            await store.release(running)
            await seen.until(lambda s: new.name not in s.present)
            assert seen.log[-1] == ("gone", new.name, new.metadata.uid)
            assert seen.present == {old.name: old}

    async def test_several_watch_at_once(self, store: Store, other: Store) -> None:
        async with AsyncExitStack() as stack:
            watches = [await stack.enter_async_context(aclosing(each.watch())) for each in (store, store, other)]
            task = await made(store)
            for events in watches:
                await Seen(events, lambda e: e.task).until(lambda s: s.present == {task.name: task})

    async def test_a_watch_can_end_and_begin_again(self, store: Store, other: Store) -> None:
        first = await made(store)
        async with aclosing(store.watch()) as events:
            await Seen(events, lambda e: e.task).until(lambda s: first.name in s.present)
        await removed(other, first)
        second = await made(other)
        async with aclosing(store.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: second.name in s.present)
        assert seen.present == {second.name: second}

    async def test_a_successor_of_the_same_name_is_told_apart(self, store: Store, other: Store) -> None:
        first = await made(store)
        async with aclosing(other.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: first.name in s.present)
            await removed(store, first)
            second = await made(store, first.name)
            await seen.until(lambda s: s.present.get(first.name) == second)
            assert ("gone", first.name, first.metadata.uid) in seen.log

    async def test_under_load_the_watch_ends_where_the_list_ends(self, store: Store, other: Store) -> None:
        async with aclosing(other.watch()) as events:
            seen = Seen(events, lambda e: e.task)

            async def life(number: int) -> None:
                task = await made(store if number % 2 else other)
                for phase in (Phase.RUNNING, Phase.PENDING, Phase.RUNNING)[: number % 4]:
                    task = await moved(other if number % 3 else store, task, phase)
                if number % 5 == 0:
                    await removed(store, task)

            await asyncio.gather(*(life(number) for number in range(20)))
            expected = {task.name: task for task in (await store.list()).tasks}
            assert len(expected) == 16
            await seen.until(lambda s: s.present == expected)


class Models:
    async def test_put_makes_and_replaces(self, store: Store, other: Store) -> None:
        first = await store.put_model("default", model_spec())
        assert (first.name, first.metadata.generation, first.status) == ("default", 1, ModelStatus())
        assert await other.put_model("default", model_spec()) == first
        second = await other.put_model("default", model_spec(gpu_percent=50))
        assert (second.metadata.generation, second.metadata.uid) == (2, first.metadata.uid)
        assert await store.get_model("default") == second

    async def test_they_are_listed_by_name(self, store: Store) -> None:
        assert await store.list_models() == ()
        for name in ("street", "default", "faces"):
            await store.put_model(name, model_spec())
        assert [model.name for model in await store.list_models()] == ["default", "faces", "street"]

    async def test_their_status_is_fenced(self, store: Store, other: Store) -> None:
        model = await store.put_model("default", model_spec())
        conditions = set_condition((), READY, "True", "Deployed", "1 replica", generation=1, now=NOW)
        status = ModelStatus(conditions=conditions, observed_generation=1, replicas=1, message="fine")
        written = await store.write_model_status(model, status)
        assert written.status == status
        with pytest.raises(Conflict):
            await other.write_model_status(model, ModelStatus())
        assert (await other.write_model_status(written, ModelStatus())).status == ModelStatus()

    async def test_a_new_spec_keeps_the_status(self, store: Store) -> None:
        model = await store.put_model("default", model_spec())
        status = ModelStatus(observed_generation=1, replicas=2)
        await store.write_model_status(model, status)
        assert (await store.put_model("default", model_spec(gpu_percent=50))).status == status

    async def test_unknown_models_are_named(self, store: Store) -> None:
        with pytest.raises(NotFound) as error:
            await store.get_model("nobody")
        assert (error.value.kind, error.value.name) == ("model", "nobody")

    async def test_they_are_watched_apart_from_tasks(self, store: Store, other: Store) -> None:
        async with aclosing(other.watch_models()) as events:
            seen = Seen(events, lambda e: e.model)
            await made(store)
            model = await store.put_model("default", model_spec())
            await seen.until(lambda s: s.present.get("default") == model)
            assert list(seen.present) == ["default"]

    async def test_a_bad_name_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInput):
            await store.put_model("No Such", model_spec())


class Health:
    async def test_a_store_that_answers_is_well(self, store: Store) -> None:
        await store.check()

    async def test_events_never_raise(self, store: Store) -> None:
        task = await made(store)
        await store.record_event(task, "Normal", "Started", "attempt 1 runs")
        await store.record_event(task, "Warning", "PipelineFailed", "ü" * 5000)
        await removed(store, task)
        await store.record_event(task, "Normal", "Expired", "")


class StorePort(Creating, Secrets, WritingStatus, Suspending, Deleting, Listing, Watching, Models, Health):
    """All of it."""
