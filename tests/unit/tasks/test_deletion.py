"""Deletion, which takes files and record, and purge, which takes the files alone."""

from datetime import timedelta

from support.samples import NOW, manifest, task
from velum.api.conditions import FAILED, condition
from velum.api.meta import KEEP_FILES, PURGE_FILES
from velum.api.reasons import Reason
from velum.api.status import Phase, TaskStatus, WebhookState
from velum.tasks.decision import Cancel, Decision, Deliver, Facts, Release, RemoveFiles
from velum.tasks.lifecycle import decide

RUNNING = TaskStatus(phase=Phase.RUNNING, attempt=2, started_at=NOW - timedelta(seconds=30), observed_generation=1)
WEBHOOK = {"url": "https://example.com/done"}


class TestDeletion:
    def test_running_work_is_cancelled_first(self) -> None:
        assert decide(task(RUNNING, deleted=True), Facts(running=2), NOW) == Decision(RUNNING, (Cancel(),))

    def test_then_files_go_then_the_record(self) -> None:
        assert decide(task(RUNNING, deleted=True), Facts(), NOW) == Decision(RUNNING, (RemoveFiles(),))
        assert decide(task(RUNNING, deleted=True), Facts(files_removed=True), NOW) == Decision(RUNNING, (Release(),))

    def test_files_can_be_kept(self) -> None:
        kept = task(RUNNING, deleted=True, annotations={KEEP_FILES: "true"})
        assert decide(kept, Facts(), NOW) == Decision(RUNNING, (Release(),))

    def test_without_our_finalizer_it_is_not_our_business(self) -> None:
        assert decide(task(RUNNING, deleted=True, finalizers=("x/y",)), Facts(slot=True), NOW) == Decision(RUNNING)

    def test_nothing_else_happens_any_more(self) -> None:
        done = decide(task(RUNNING, webhook=WEBHOOK), Facts(manifest=manifest(2)), NOW).status
        decision = decide(task(done, deleted=True, webhook=WEBHOOK), Facts(delivered="refused"), NOW)
        assert decision == Decision(done, (RemoveFiles(),))


class TestPurge:
    wish = {PURGE_FILES: "true"}  # noqa: RUF012 - a constant

    def test_running_work_is_cancelled_first(self) -> None:
        purged = task(RUNNING, annotations=self.wish)
        assert decide(purged, Facts(running=2), NOW) == Decision(RUNNING, (Cancel(),))
        assert decide(purged, Facts(), NOW) == Decision(RUNNING, (RemoveFiles(),))

    def test_an_unfinished_task_fails_by_it(self) -> None:
        decision = decide(task(RUNNING, annotations=self.wish), Facts(files_removed=True), NOW)
        assert decision.status.phase is Phase.DELETED
        assert decision.status.failed
        assert condition(decision.status.conditions, FAILED).reason == Reason.FILES_REMOVED  # type: ignore[union-attr]
        assert decide(task(decision.status, annotations=self.wish), Facts(slot=True), NOW) == Decision(decision.status)

    def test_a_finished_task_stays_what_it_was_without_result(self) -> None:
        done = decide(task(RUNNING), Facts(manifest=manifest(2)), NOW).status
        later = NOW + timedelta(hours=1)
        decision = decide(task(done, annotations=self.wish), Facts(files_removed=True), later)
        assert decision.status == done.model_copy(update={"phase": Phase.DELETED, "result": None})

    def test_the_webhook_is_still_called(self) -> None:
        """A task that its owner cancelled has ended like any other; and a receiver that was away gets its call."""
        cancelled = decide(task(RUNNING, annotations=self.wish, webhook=WEBHOOK), Facts(files_removed=True), NOW)
        assert cancelled.actions == (Deliver(),)
        done = decide(task(RUNNING, webhook=WEBHOOK), Facts(manifest=manifest(2)), NOW).status
        purged = decide(task(done, annotations=self.wish, webhook=WEBHOOK), Facts(files_removed=True), NOW).status
        for status in (cancelled.status, purged):
            assert status.phase is Phase.DELETED
            again = task(status, annotations=self.wish, webhook=WEBHOOK)
            assert decide(again, Facts(), NOW).actions == (Deliver(),)
            sent = decide(again, Facts(delivered=""), NOW).status
            assert sent.webhook is not None
            assert (sent.webhook.state, sent.phase) == (WebhookState.SENT, Phase.DELETED)

    def test_it_expires_as_others_do(self) -> None:
        status = decide(
            task(RUNNING, annotations=self.wish, ttl_seconds_after_finished=60), Facts(files_removed=True), NOW
        ).status
        waiting = decide(task(status, annotations=self.wish, ttl_seconds_after_finished=60), Facts(), NOW)
        assert waiting == Decision(status, wake=NOW + timedelta(seconds=60))
