"""The controller under orders and pressure: suspend, delete, full models, webhooks, and what stays in memory."""

import asyncio
from pathlib import Path

from support.operatorkit import (
    WEBHOOK,
    Counting,
    Receiver,
    Replicas,
    StillModels,
    bench,
    done,
    mount,
    storage_of,
    unmount,
    until,
)
from support.samples import ManualClock, spec
from velum.api.status import Phase, WebhookState
from velum.errors import Unavailable
from velum.settings import Settings
from velum.storage import BlobStore, Storage
from velum.tasks.order import WorkOrder
from velum.tasks.store import TaskEvent
from velum_operator.dispatch import Told
from velum_operator.janitor import KEEP


class TestCommands:
    async def test_suspend_cancels_and_resume_starts_anew(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            await store.suspend("a", True)
            await b.until("a", lambda task: task.status.phase is Phase.SUSPENDED)
            await until(lambda: b.replicas.cancelled == [("a", 1)])
            await b.settled()
            assert b.replicas.of("a") == [1]
            assert b.metric("velum_tasks", condition="suspended") == 1
            release.set()
            await store.suspend("a", False)
            task = await b.until("a", done)
            assert task.status.result.attempt == 2

    async def test_a_task_created_suspended_is_not_touched(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(suspend=True), labels={})
            await b.until("a", lambda task: task.status.phase is Phase.SUSPENDED)
            await b.settled()
            assert b.replicas.orders == []
            assert b.models.wanted == set()

    async def test_deleting_while_it_runs_cancels_first_and_leaves_no_file(
        self, store: Counting, given: Settings
    ) -> None:
        order = []

        class Slow(Replicas):
            async def run(self, each: WorkOrder, told: Told):
                try:
                    return await super().run(each, told)
                finally:
                    await self.outputs.put(f"{each.folder}late.jpg", b"a straggler writes until it is really over")
                    order.append("closed")

        async with bench(store, given, replicas=Slow(storage_of(given).outputs)) as b:
            b.replicas.hold("a")
            task = await store.create("a", spec(), labels={})
            await b.storage.inputs.put(f"{task.folder}input", b"original")
            await until(lambda: b.replicas.of("a"))
            await store.delete("a")
            await b.gone("a")
            assert order == ["closed"]
            assert await b.storage.inputs.below(task.folder) == await b.storage.outputs.below(task.folder) == []
            await until(lambda: sum(b.metric("velum_tasks", condition=c) for c in ("pending", "running")) == 0)

    async def test_deleting_a_finished_task_removes_its_files_but_not_the_users(
        self, store: Counting, given: Settings
    ) -> None:
        async with bench(store, given) as b:
            await b.storage.inputs.put("incoming/street.jpg", b"mine")
            task = await store.create("a", spec(destination={"prefix": "clean/"}), labels={})
            await b.until("a", done)
            await store.delete("a")
            await b.gone("a")
            assert await b.storage.outputs.below(task.folder) == []
            assert await b.storage.inputs.get("incoming/street.jpg") == b"mine"
            assert await b.storage.outputs.get("clean/street.jpg")

    async def test_deleting_only_the_record_leaves_marked_files(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            task = await store.create("a", spec(), labels={})
            finished = await b.until("a", done)
            await store.delete("a", keep_files=True)
            await b.gone("a")
            assert await b.storage.outputs.get(finished.status.result.anonymised.key)
            assert (await b.storage.outputs.head(task.folder + KEEP)).size == 0

    async def test_deleting_only_the_files_leaves_the_record(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            task = await store.create("a", spec(), labels={})
            await b.until("a", done)
            await b.settled()
            await store.purge("a")
            left = await b.until("a", lambda task: task.status.phase is Phase.DELETED)
            assert left.status.result is None
            assert await b.storage.outputs.below(task.folder) == []
            await until(lambda: b.metric("velum_tasks", condition="deleted") == 1)

    async def test_storage_away_delays_the_deletion_but_loses_nothing(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        async with bench(store, given, clock=clock) as b:
            task = await store.create("a", spec(), labels={})
            await b.until("a", done)
            await b.settled()
            folder = Path(b.storage.outputs.url.removeprefix("file://"))
            unmount(folder)
            await store.delete("a")
            await until(lambda: b.events[-1].task.deleting)
            await b.settled()
            assert (await store.get("a")).deleting
            mount(folder)
            await until(lambda: b.controller.queue._due)
            await b.advance(60)
            await b.gone("a")
            assert await b.storage.outputs.below(task.folder) == []

    async def test_ttl_removes_record_and_files(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            task = await store.create("a", spec(ttlSecondsAfterFinished=60), labels={})
            await b.until("a", done)
            await b.settled()
            await b.advance(59)
            await b.settled()
            assert (await store.get("a")).status.complete
            await b.advance(2)
            await b.gone("a")
            assert await b.storage.outputs.below(task.folder) == []

    async def test_made_again_under_the_same_name(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            first = await store.create("a", spec(), labels={})
            await b.until("a", done)
            await store.delete("a")
            await b.gone("a")
            second = await store.create("a", spec(), labels={})
            task = await b.until("a", done)
            assert first.metadata.uid != second.metadata.uid == task.metadata.uid
            assert task.status.result.attempt == 1

    async def test_a_copy_is_over_before_what_it_reads_is_removed(self, store: Counting, given: Settings) -> None:
        copying, removed_during_copy = asyncio.Event(), []

        class Slow(BlobStore):
            async def copy_to(self, key: str, other: BlobStore, target: str) -> None:
                copying.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    copying.clear()

            async def remove(self, prefix: str) -> int:
                removed_during_copy.append(copying.is_set())
                return await super().remove(prefix)

        storage = Storage(BlobStore(given.storage.input), Slow(given.storage.output))
        async with bench(store, given, storage=storage) as b:
            await store.create("a", spec(destination={"prefix": "clean/"}), labels={})
            await copying.wait()
            await store.delete("a")
            await b.gone("a")
            assert removed_during_copy == [False]

    async def test_made_again_unseen_the_old_attempt_ends_and_the_new_one_starts(
        self, store: Counting, given: Settings
    ) -> None:
        """A watch that was broken shows only the new task: no event says that the old one went."""
        async with bench(store, given) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            b.following.cancel()
            await store.delete("a")
            await store.release(await store.get("a"))
            second = await store.create("a", spec(), labels={})
            b.controller.observe(TaskEvent("present", second))
            await until(lambda: b.replicas.cancelled == [("a", 1)])
            await until(lambda: len(b.replicas.orders) == 2)
            release.set()
            task = await b.until("a", done)
            assert task.status.result.attempt == 1
            assert [order.uid == second.metadata.uid for order in b.replicas.orders] == [False, True]
            b.controller.observe(TaskEvent("gone", task))
            await until(lambda: b.metric("velum_tasks", condition="complete") == 0)

    async def test_gone_unseen_it_is_looked_up(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            await store.create("a", spec(), labels={})
            await b.until("a", done)
            await b.settled()
            b.following.cancel()
            await store.delete("a")
            b.controller.observe(TaskEvent("present", await store.get("a")))
            await b.gone("a")
            await b.settled()
            assert b.metric("velum_tasks", condition="complete") == 1  # nobody has told it yet
            await b.advance(31)
            await until(lambda: b.metric("velum_tasks", condition="complete") == 0)


class TestBackPressure:
    async def test_the_oldest_goes_first_and_only_as_many_as_there_is_room_for(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        names = ["m", "c", "x", "a", "k"]
        async with bench(store, given, capacity=1, clock=clock) as b:
            holds = {name: b.replicas.hold(name) for name in names}
            for name in names:
                await store.create(name, spec(), labels={})
                clock.forward(seconds=1)
                await until(lambda n=name: any(event.task.name == n for event in b.events))
                await b.passes_over()
            for position, name in enumerate(names):
                await until(lambda n=name: b.replicas.of(n))
                await b.passes_over()
                assert [order.task for order in b.replicas.orders] == names[: position + 1]
                assert b.slots.waiting("default") == len(names) - position - 1
                holds[name].set()
            await b.until(names[-1], done)
            assert store.count("write_status") == 2 * len(names)

    async def test_room_that_grows_is_used(self, store: Counting, given: Settings) -> None:
        async with bench(store, given, capacity=0) as b:
            for i in range(6):
                b.replicas.hold(f"t{i}")
                await store.create(f"t{i}", spec(), labels={})
            await until(lambda: b.slots.waiting("default") == 6)
            b.slots.resize("default", 4)
            await until(lambda: b.replicas.running == 4)
            await b.passes_over()
            assert b.replicas.running == 4

    async def test_who_leaves_the_queue_makes_room_for_the_next(self, store: Counting, given: Settings) -> None:
        async with bench(store, given, capacity=1) as b:
            for name in ("a", "b", "c"):
                b.replicas.hold(name)
                await store.create(name, spec(), labels={})
            await until(lambda: b.slots.waiting("default") == 2)
            await store.suspend("b", True)
            await b.until("b", lambda task: task.status.phase is Phase.SUSPENDED)
            await store.delete("a")
            await until(lambda: b.replicas.of("c") == [1])
            assert b.replicas.of("b") == []


class TestModels:
    async def test_waits_until_the_model_appears(self, store: Counting, given: Settings) -> None:
        models = StillModels(seen=("missing", "no AnonymizationModel 'default'; there are: street"))
        async with bench(store, given, models=models) as b:
            await store.create("a", spec(), labels={})
            task = await b.until("a", lambda task: task.status.reason == "ModelNotFound")
            assert "there are: street" in task.status.message
            models.seen = ("known", "")
            b.controller.wake_model("default")
            assert (await b.until("a", done)).status.complete
            assert models.wanted == {"default"}

    async def test_a_class_nobody_finds_fails_loudly(self, store: Counting, given: Settings) -> None:
        models = StillModels(seen=("lacks-class", "get it with velum models fetch street"))
        async with bench(store, given, models=models) as b:
            await store.create("a", spec(), labels={})
            task = await b.until("a", done)
            assert (task.status.reason, task.status.message) == (
                "ClassNotServed",
                "get it with velum models fetch street",
            )


class TestWebhooks:
    async def test_is_called_once_and_written_down(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(webhook=WEBHOOK), labels={})
            await b.until("a", lambda task: task.status.webhook and task.status.webhook.state is WebhookState.SENT)
            await b.settled()
            assert [call.status.phase for call in b.receiver.calls] == [Phase.COMPLETE]
            assert store.count("write_status") == 3

    async def test_retries_survive_a_restart(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        receiver = Receiver()
        receiver.answers = ["answered 500", "answered 502"]
        async with bench(store, given, clock=clock, receiver=receiver) as b:
            await store.create("a", spec(webhook=WEBHOOK), labels={})
            task = await b.until("a", lambda task: task.status.webhook and task.status.webhook.attempts == 1)
            assert task.status.webhook.last_error == "answered 500"
            await b.crash()
        clock.forward(seconds=4)
        async with bench(store, given, clock=clock, receiver=receiver) as b:
            await b.settled()
            assert len(receiver.calls) == 1  # not due yet, and the new controller knows it
            await b.advance(2)
            await b.until("a", lambda task: task.status.webhook.attempts == 2)
            await b.advance(31)
            await b.until("a", lambda task: task.status.webhook.state is WebhookState.SENT)
        assert len(receiver.calls) == 3

    async def test_a_call_that_was_not_written_down_is_made_again(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        """At least once: a crash between the call and the status write repeats the call."""

        class Dies(Receiver):
            async def deliver(self, task):
                await super().deliver(task)
                b.running.cancel()
                return ""

        receiver = Dies()
        async with bench(store, given, clock=clock, receiver=receiver) as b:
            await store.create("a", spec(webhook=WEBHOOK), labels={})
            await until(b.running.done)
        again = Receiver()
        async with bench(store, given, clock=clock, receiver=again) as b:
            await b.until("a", lambda task: task.status.webhook.state is WebhookState.SENT)
        assert len(receiver.calls) == len(again.calls) == 1

    async def test_an_answer_that_cannot_be_written_is_kept_not_repeated(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        async with bench(store, given, clock=clock) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(webhook=WEBHOOK), labels={})
            await until(lambda: b.replicas.of("a"))
            release.set()
            await b.until("a", done)
            store.fail["write_status"] = [Unavailable("API server", "away")] * 2
            await b.until_later("a", lambda task: task.status.webhook.state is WebhookState.SENT)
            assert len(b.receiver.calls) == 1

    async def test_a_secret_that_cannot_be_read_is_no_failed_call(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        receiver = Receiver()
        receiver.answers = [Unavailable("API server", "away")]
        async with bench(store, given, clock=clock, receiver=receiver) as b:
            await store.create("a", spec(webhook=WEBHOOK), labels={})
            await until(lambda: len(receiver.calls) == 1)
            task = await b.until_later("a", lambda task: task.status.webhook.state is WebhookState.SENT)
            assert task.status.webhook.attempts == 1


class TestMemory:
    async def test_finished_tasks_are_put_away_and_found_again(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(), labels={})
            await b.until("a", done)
            await b.settled()
            desk = b.controller._desks.get("a")
            await until(lambda: desk.task is None)
            assert list(b.controller._desks.active()) == []
            await store.purge("a")
            await b.until("a", lambda task: task.status.phase is Phase.DELETED)

    async def test_nothing_is_left_of_tasks_that_are_gone(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            for i in range(10):
                await store.create(f"t{i}", spec(ttlSecondsAfterFinished=3600), labels={})
                await b.until(f"t{i}", done)
                await store.delete(f"t{i}")
                await b.gone(f"t{i}")
            await store.create("waiting", spec(model="nowhere"), labels={})
            await until(lambda: b.slots.waiting("nowhere") == 1)
            await store.delete("waiting")
            await b.gone("waiting")
            await until(lambda: b.controller._desks._desks == {})
            assert b.controller._desks._unfinished == {}
            assert b.controller.queue._due == {}
            assert b.slots._place == {}
            assert b.controller._echo._awaited == b.controller._echo._seen == {}
