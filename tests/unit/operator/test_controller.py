"""The controller on a real store and real files: what happens to tasks, and what it costs."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from support.operatorkit import (
    WEBHOOK,
    Counting,
    Failed,
    Replicas,
    bench,
    done,
    storage_of,
    until,
    write_result,
)
from support.samples import ManualClock, spec
from velum.api.reasons import Reason
from velum.api.status import Phase, WebhookState
from velum.errors import Conflict, Unavailable
from velum.settings import Settings
from velum.tasks.order import NotStarted, Progress, WorkOrder, work_folder, work_order
from velum_operator.dispatch import Told


class TestHappyPath:
    async def test_a_task_costs_two_status_writes_and_no_read(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(), labels={})
            task = await b.until("a", done)
            await b.settled()
            assert task.status.complete
            assert task.status.result.attempt == 1
            assert task.status.result.detections == {"face": 2}
            assert await b.storage.outputs.get(task.status.result.anonymised.key) == (
                f"anonymised {task.metadata.uid} 1".encode()
            )
            assert store.count("write_status") == 2  # Running with the attempt's number, then Complete with the result
            assert store.count("add_finalizer") == 0
            assert b.replicas.of("a") == [1]

    async def test_the_attempt_is_in_the_store_before_it_is_handed_out(self, store: Counting, given: Settings) -> None:
        seen = []

        class Spy(Replicas):
            async def run(self, order: WorkOrder, told: Told):
                seen.append((await store.get(order.task)).status.attempt)
                return await super().run(order, told)

        async with bench(store, given, replicas=Spy(storage_of(given).outputs)) as b:
            await store.create("a", spec(), labels={})
            await b.until("a", done)
        assert seen == [1]

    async def test_a_task_without_finalizer_gets_one_first(self, store: Counting, given: Settings) -> None:
        task = await store.create("a", spec(), labels={})
        await store.release(task)  # as kubectl would have applied it
        async with bench(store, given) as b:
            task = await b.until("a", done)
            assert task.has_finalizer
            assert b.replicas.of("a") == [1]

    async def test_our_own_writes_cause_no_further_pass(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(), labels={})
            await b.until("a", done)
            await until(lambda: len(b.events) == 3 or None)
            await b.settled()
            # created → started; attempt ended → complete. The watch's echo of a write may add an empty pass when it
            # overtakes the answer of the write itself.
            assert 2 <= b.metric("velum_reconcile_total", result="ok") <= 4
            assert store.count("write_status") == 2

    async def test_many_tasks_end_all_and_the_metrics_add_up(self, store: Counting, given: Settings) -> None:
        async with bench(store, given, capacity=5) as b:
            for i in range(40):
                await store.create(f"t{i:02}", spec(), labels={})
            for i in range(40):
                await b.until(f"t{i:02}", done)
            await b.settled()
            await until(lambda: b.metric("velum_tasks", condition="complete") == 40)
            assert b.metric("velum_tasks", condition="pending") == b.metric("velum_tasks", condition="running") == 0
            assert b.metric("velum_attempts_total", result="succeeded") == 40
            assert b.metric("velum_task_queue_seconds_count") == b.metric("velum_task_run_seconds_count") == 40
            assert b.replicas.most <= 5
            assert store.count("write_status") == 80  # queueing costs none

    async def test_events_are_recorded_for_people(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            task = await store.create("a", spec(), labels={})
            await b.until("a", done)
            await b.settled()
            assert ("Normal", "Anonymized", "2 face") in await store.events(task)

    async def test_a_destination_gets_copies_before_the_task_is_complete(
        self, store: Counting, given: Settings
    ) -> None:
        async with bench(store, given) as b:
            await store.create("a", spec(destination={"prefix": "clean/"}), labels={})
            task = await b.until("a", done)
            assert task.status.complete
            copy = await b.storage.outputs.get("clean/street.jpg")
            assert copy == await b.storage.outputs.get(task.status.result.anonymised.key)
            assert store.count("write_status") == 3


class TestFailures:
    async def test_a_broken_picture_fails_at_once_with_its_reason(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.endings["a"] = [Failed(Reason.CORRUPT_MEDIA, "not a picture")]
            await store.create("a", spec(), labels={})
            task = await b.until("a", done)
            assert (task.status.reason, task.status.message) == ("CorruptMedia", "not a picture")
            assert b.replicas.of("a") == [1]

    async def test_a_lost_worker_is_tried_again_after_its_back_off(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        async with bench(store, given, clock=clock) as b:
            b.replicas.endings["a"] = [Failed(Reason.WORKER_LOST, "gone"), Failed(Reason.PIPELINE_FAILED, "oops")]
            await store.create("a", spec(), labels={})
            await b.until("a", lambda task: task.status.failures == 1)
            await b.settled()
            assert b.replicas.of("a") == [1]
            assert b.models.suspected == 1
            await b.advance(1.9)
            await b.settled()
            assert b.replicas.of("a") == [1]
            await b.advance(0.2)
            await b.until("a", lambda task: task.status.failures == 2)
            await b.advance(3.9)
            await b.settled()
            assert b.replicas.of("a") == [1, 2]
            await b.advance(0.2)
            task = await b.until("a", done)
            assert task.status.complete
            assert task.status.result.attempt == 3

    async def test_the_backoff_limit_ends_it(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            b.replicas.endings["a"] = [Failed(Reason.PIPELINE_FAILED, "oops")] * 9
            await store.create("a", spec(backoffLimit=1), labels={})
            await b.until("a", lambda task: task.status.failures == 1)
            await b.advance(3)
            task = await b.until("a", done)
            assert task.status.reason == "BackoffLimitExceeded"
            assert b.replicas.of("a") == [1, 2]

    async def test_not_started_does_not_count(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            b.replicas.endings["a"] = [NotStarted("Ray is away")] * 5
            await store.create("a", spec(backoffLimit=0), labels={})
            for attempt in range(1, 6):
                await until(lambda n=attempt: b.replicas.of("a")[-1:] == [n])
                await b.until("a", lambda task: task.status.reason == "RayUnavailable")
                await b.settled()
                await b.advance(2.1)
            task = await b.until("a", done)
            assert task.status.complete
            assert task.status.failures == 0

    async def test_a_task_says_that_its_model_cannot_be_deployed(self, store: Counting, given: Settings) -> None:
        """Once, and once that it waits again: two writes more than a task whose model is well."""
        async with bench(store, given, capacity=0) as b:
            await store.create("a", spec(), labels={})
            await b.until("a", lambda task: True)
            await b.settled()
            assert store.count("write_status") == 0
            b.models.seen = ("failed", "model 'default' could not be deployed")
            b.controller.wake_model("default")  # or the first look, if it comes only now
            task = await b.until("a", lambda task: task.status.reason == "DeployFailed")
            for _ in range(3):
                b.controller.wake_model("default")
                await b.settled()
            assert task.status.phase is Phase.PENDING
            assert "could not be deployed" in task.status.message
            assert store.count("write_status") == 1
            b.models.seen = ("known", "")
            b.controller.wake_model("default")
            task = await b.until("a", lambda task: task.status.reason == "Queued")
            b.slots.resize("default", 1)
            task = await b.until("a", done)
            assert task.status.complete
            assert store.count("write_status") == 4

    async def test_a_failed_attempt_is_logged_without_what_it_says(
        self, store: Counting, given: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with bench(store, given) as b:
            b.replicas.endings["a"] = [Failed(Reason.SOURCE_FORBIDDEN, "https://cam.example/?token=s3cr3t")]
            await store.create("a", spec(), labels={})
            await b.until("a", done)
        assert "task a: attempt 1 failed: SourceForbidden" in caplog.text
        assert "s3cr3t" not in caplog.text

    async def test_a_bug_in_the_dispatcher_is_a_failed_attempt(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.endings["a"] = [RuntimeError("secret detail")]
            await store.create("a", spec(backoffLimit=0), labels={})
            task = await b.until("a", done)
            assert "RuntimeError" in task.status.message
            assert "secret detail" not in task.status.message

    async def test_a_lost_answer_is_not_lost_work(self, store: Counting, given: Settings) -> None:
        class AnswerLost(Replicas):
            async def run(self, order: WorkOrder, told: Told):
                self.orders.append(order)
                await write_result(self.outputs, order)
                return Failed(Reason.WORKER_LOST, "connection reset")

        async with bench(store, given, replicas=AnswerLost(storage_of(given).outputs)) as b:
            await store.create("a", spec(backoffLimit=0), labels={})
            task = await b.until("a", done)
            assert task.status.complete
            assert b.replicas.of("a") == [1]

    async def test_progress_is_written_with_every_percent(self, store: Counting, given: Settings) -> None:
        class Video(Replicas):
            async def run(self, order: WorkOrder, told: Told):
                for frames in range(0, 1000, 4):  # 1000 frames, two and a half words for each percent
                    told(Progress(frames, 1000, (1000 - frames) / 10))
                    if frames % 100 == 0:
                        await b.until("a", lambda task, percent=frames // 10: task.status.progress_percent == percent)
                return await super().run(order, told)

        async with bench(store, given, replicas=Video(storage_of(given).outputs)) as b:
            await store.create("a", spec(), labels={})
            task = await b.until("a", done)
            seen = {event.task.status.progress_percent for event in b.events}
            assert set(range(0, 100, 10)) <= seen <= set(range(101))
            assert store.count("write_status") <= 102
            half = next(each.task.status for each in b.events if each.task.status.progress_percent == 50)
            assert half.frames is not None
            assert (half.frames.done, half.frames.of) == (500, 1000)
            assert half.estimated_finish_at == b.clock.now() + timedelta(seconds=50)
            assert (task.status.progress_percent, task.status.estimated_finish_at) == (100, None)

    async def test_what_attempts_left_for_each_other_goes_when_none_comes(
        self, store: Counting, given: Settings
    ) -> None:
        class LeavesParts(Replicas):
            async def run(self, order: WorkOrder, told: Told):
                await self.outputs.put(order.work + "source", b"an original")
                return Failed(Reason.WORKER_LOST, "killed")

        async with bench(store, given, replicas=LeavesParts(storage_of(given).outputs)) as b:
            await store.create("a", spec(backoffLimit=1), labels={})
            task = await b.until("a", lambda task: task.status.failures == 1)
            assert await b.storage.outputs.below(work_folder(task))
            await b.until_later("a", done)
            await b.settled()
            assert await b.storage.outputs.below(work_folder(task)) == []

    async def test_one_task_that_cannot_be_written_holds_up_no_other(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        store.fail["write_status"] = [Unavailable("API server", "away")] * 3
        async with bench(store, given, clock=clock, capacity=1) as b:
            await store.create("a", spec(), labels={})
            await until(lambda: store.count("write_status") == 1)
            await b.settled()
            assert b.metric("velum_reconcile_total", result="unavailable") == 1
            store.fail["write_status"] = []
            await store.create("b", spec(), labels={})
            await b.until("b", done)  # it got the only room although "a" is older: "a" backs off
            await b.advance(60)
            task = await b.until("a", done)
            assert task.status.complete
            assert b.replicas.of("a") == [1]

    async def test_a_conflict_reads_again(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            store.fail["write_status"] = [Conflict("a")]
            release.set()
            await until(lambda: b.metric("velum_reconcile_total", result="conflict") == 1)
            await b.advance(1)
            task = await b.until("a", done)
            assert task.status.complete
            assert task.status.result.attempt == 1

    async def test_a_controller_that_is_behind_finds_out_by_its_write(
        self, store: Counting, given: Settings, clock: ManualClock
    ) -> None:
        async with bench(store, given, clock=clock) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            b.following.cancel()  # it sees nothing more
            await store.suspend("a", True)
            release.set()
            await until(lambda: b.metric("velum_reconcile_total", result="conflict") == 1)
            await b.advance(1)
            await b.until("a", lambda task: task.status.phase is Phase.SUSPENDED)

    async def test_a_poisoned_export_fails_by_name(self, store: Counting, given: Settings, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "clean").write_text("a file where a folder must be")
        async with bench(store, given) as b:
            await store.create("a", spec(destination={"prefix": "clean/"}, backoffLimit=0), labels={})
            task = await b.until("a", done)
            assert task.status.failed
            assert "clean/street.jpg" in task.status.message

    async def test_a_deadline_cancels_the_attempt(self, store: Counting, given: Settings, clock: ManualClock) -> None:
        async with bench(store, given, clock=clock) as b:
            b.replicas.hold("a")
            await store.create("a", spec(activeDeadlineSeconds=60, webhook=WEBHOOK), labels={})
            await until(lambda: b.replicas.of("a"))
            await b.advance(61)
            task = await b.until("a", done)
            assert task.status.reason == "DeadlineExceeded"
            await until(lambda: b.replicas.cancelled == [("a", 1)])
            task = await b.until("a", lambda task: task.status.webhook.state is WebhookState.SENT)
            await b.settled()
            assert len(b.receiver.calls) == 1  # the answer came while the attempt was being cancelled
            assert b.receiver.calls[0].status.finished


class TestCrashes:
    async def test_a_crash_before_the_end_starts_the_next_attempt(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.hold("a")
            await store.create("a", spec(backoffLimit=0), labels={})
            await until(lambda: b.replicas.of("a"))
            await b.crash()
        async with bench(store, given) as b:
            task = await b.until("a", done)
            assert task.status.complete
            assert task.status.failures == 0
            assert b.replicas.of("a") == [2]

    async def test_a_crash_after_the_manifest_publishes_it(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            await b.crash()
            await write_result(b.storage.outputs, work_order(await store.get("a"), 1))
        async with bench(store, given) as b:
            task = await b.until("a", done)
            assert task.status.result.attempt == 1
            assert b.replicas.orders == []

    async def test_an_unreadable_manifest_is_no_manifest(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            await b.crash()
            await b.storage.outputs.put(work_order(await store.get("a"), 1).manifest_key, b'{"uid": ')
        async with bench(store, given) as b:
            task = await b.until("a", done)
            assert task.status.result.attempt == 2

    async def test_a_zombie_cannot_publish(self, store: Counting, given: Settings) -> None:
        """Two controllers (a lease was lost unseen): the old one's attempt ends late and must not count."""
        async with bench(store, given) as old:
            release = old.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: old.replicas.of("a"))
            old.following.cancel()  # it sees nothing more of the world
            async with bench(store, given) as new:
                task = await new.until("a", done)
                assert task.status.result.attempt == 2
                release.set()
                await until(lambda: old.metric("velum_reconcile_total", result="conflict") >= 1)
                await new.settled()
                assert (await store.get("a")).status.result == task.status.result

    async def test_stopping_lets_what_is_nearly_done_be_published(self, store: Counting, given: Settings) -> None:
        async with bench(store, given, capacity=1) as b:
            release = b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            await store.create("b", spec(), labels={})
            await until(lambda: b.slots.waiting("default") == 1)
            stopping = asyncio.create_task(b.controller.stop(grace_seconds=20))
            release.set()
            await stopping
            await b.running
            assert (await store.get("a")).status.complete
            assert (await store.get("b")).status.attempt == 0  # nothing new was started

    async def test_stopping_does_not_wait_for_ever(self, store: Counting, given: Settings) -> None:
        async with bench(store, given) as b:
            b.replicas.hold("a")
            await store.create("a", spec(), labels={})
            await until(lambda: b.replicas.of("a"))
            await b.controller.stop(grace_seconds=0.05)
            await b.running
            assert b.replicas.running == 0
            assert (await store.get("a")).status.phase is Phase.RUNNING
