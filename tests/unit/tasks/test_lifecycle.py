"""Every branch of `decide` for a task that has not ended."""

from dataclasses import replace
from datetime import timedelta

import pytest

from support.samples import NOW, UID, manifest, result, task
from velum.api.conditions import COMPLETE, FAILED, SUSPENDED, condition, holds, set_condition
from velum.api.reasons import INPUT_REASONS, Reason
from velum.api.status import FrameCount, Phase, TaskStatus
from velum.tasks.decision import (
    AddFinalizer,
    Cancel,
    Decision,
    Export,
    Facts,
    Start,
    Tidy,
)
from velum.tasks.lifecycle import RETRY_CAP, UNAVAILABLE_RETRY, decide
from velum.tasks.order import Failed, NotStarted, Outcome, Progress, Succeeded

PENDING = TaskStatus(observed_generation=1)
RUNNING = TaskStatus(phase=Phase.RUNNING, attempt=2, started_at=NOW - timedelta(seconds=30), observed_generation=1)
WEBHOOK = {"url": "https://example.com/done"}
ROOM = Facts(slot=True)


def soon(**span: float) -> timedelta:
    return timedelta(**span)


def ended(status: TaskStatus, kind: str, reason: Reason) -> None:
    assert holds(status.conditions, kind)
    assert status.phase is (Phase.COMPLETE if kind == COMPLETE else Phase.FAILED)
    assert (status.reason, status.finished_at, status.retry_at) == (reason, NOW, None)
    found = condition(status.conditions, kind)
    assert found is not None
    assert (found.reason, found.last_transition_time, found.observed_generation) == (reason, NOW, 1)


class TestStarting:
    def test_the_finalizer_comes_first(self) -> None:
        assert decide(task(finalizers=()), ROOM, NOW) == Decision(TaskStatus(), (AddFinalizer(),))

    def test_with_room_an_attempt_starts(self) -> None:
        decision = decide(task(), ROOM, NOW)
        assert decision.actions == (Start(1),)
        assert (decision.status.phase, decision.status.attempt, decision.status.started_at) == (Phase.RUNNING, 1, NOW)
        assert decision.status.observed_generation == 1
        assert decision.wake is None

    def test_without_room_it_waits(self) -> None:
        assert decide(task(PENDING), Facts(), NOW) == Decision(PENDING)

    def test_without_its_model_it_waits_and_says_so(self) -> None:
        decision = decide(task(), Facts(slot=True, model="missing", model_message="no model 'x'"), NOW)
        assert decision.actions == ()
        assert (decision.status.phase, decision.status.reason) == (Phase.PENDING, Reason.MODEL_NOT_FOUND)
        assert decision.status.message == "no model 'x'"

    @pytest.mark.parametrize("key", ["tasks/velum/other/input", "tasks/elsewhere/t/input", "tasks/x"])
    def test_anothers_upload_is_no_source(self, key: str) -> None:
        decision = decide(task(source={"object": {"key": key}}), ROOM, NOW)
        ended(decision.status, FAILED, Reason.SOURCE_FORBIDDEN)
        assert decision.actions == ()
        assert "spec.source.object.key" in decision.status.message

    def test_its_own_upload_is(self) -> None:
        mine = task().folder + "input"
        assert decide(task(source={"object": {"key": mine}}), ROOM, NOW).actions == (Start(1),)

    def test_a_class_that_the_model_does_not_find_is_the_end(self) -> None:
        decision = decide(task(), Facts(slot=True, model="lacks-class", model_message="finds no face"), NOW)
        ended(decision.status, FAILED, Reason.CLASS_NOT_SERVED)
        assert decision.actions == ()
        assert [note.kind for note in decision.notes] == ["Warning"]

    def test_the_back_off_is_waited_for(self) -> None:
        waiting = PENDING.model_copy(update={"attempt": 1, "retry_at": NOW + soon(seconds=1)})
        assert decide(task(waiting), ROOM, NOW) == Decision(waiting, wake=NOW + soon(seconds=1))
        late = decide(task(waiting), ROOM, NOW + soon(seconds=1))
        assert late.actions == (Start(2),)
        assert late.status.retry_at is None

    def test_the_first_start_counts_for_the_deadline(self) -> None:
        again = PENDING.model_copy(update={"attempt": 1, "started_at": NOW - soon(seconds=5)})
        decision = decide(task(again, active_deadline_seconds=60), ROOM, NOW)
        assert decision.status.started_at == NOW - soon(seconds=5)
        assert decision.wake == NOW + soon(seconds=55)


class TestRunning:
    def test_our_attempt_is_left_alone(self) -> None:
        assert decide(task(RUNNING), Facts(running=2, slot=True), NOW) == Decision(RUNNING)

    @pytest.mark.parametrize("running", [1, 3])
    def test_a_stale_attempt_is_cancelled(self, running: int) -> None:
        assert decide(task(RUNNING), Facts(running=running, slot=True), NOW) == Decision(RUNNING, (Cancel(),))

    def test_an_attempt_nobody_awaits_was_interrupted_and_is_not_counted(self) -> None:
        decision = decide(task(RUNNING), ROOM, NOW)
        assert decision.actions == (Start(3),)
        assert (decision.status.attempt, decision.status.failures) == (3, 0)
        assert [note.reason for note in decision.notes] == [Reason.INTERRUPTED]

    def test_interrupted_without_room_it_waits(self) -> None:
        decision = decide(task(RUNNING), Facts(), NOW)
        assert decision.actions == ()
        assert (decision.status.phase, decision.status.reason) == (Phase.PENDING, Reason.INTERRUPTED)
        assert decision.status.attempt == 2

    def test_success_is_published_with_its_counts(self) -> None:
        made = manifest(2, face=2, person=0)
        decision = decide(task(RUNNING), Facts(outcome=Succeeded(made), outcome_attempt=2), NOW)
        ended(decision.status, COMPLETE, Reason.ANONYMIZED)
        assert decision.status.result == made.result
        assert (decision.status.media_type, decision.status.progress_percent) == ("image/jpeg", 100)
        assert decision.status.message == "2 face"

    def test_an_empty_picture_is_a_success_too(self) -> None:
        decision = decide(task(RUNNING), Facts(outcome=Succeeded(manifest(2)), outcome_attempt=2), NOW)
        assert decision.status.message == "nothing to hide"

    def test_a_manifest_found_after_a_crash_is_published(self) -> None:
        decision = decide(task(RUNNING), Facts(manifest=manifest(2), slot=True), NOW)
        ended(decision.status, COMPLETE, Reason.ANONYMIZED)
        assert decision.status.result == manifest(2).result

    @pytest.mark.parametrize("found", [manifest(2, uid="somebody-else"), manifest(1), manifest(3)])
    def test_a_manifest_of_another_attempt_is_not_published(self, found: object) -> None:
        for facts in (Facts(manifest=found, slot=True), Facts(outcome=Succeeded(found), outcome_attempt=2)):  # type: ignore[arg-type]
            decision = decide(task(RUNNING), facts, NOW)
            assert decision.status.result is None
            assert not decision.status.finished

    def test_an_outcome_of_an_earlier_attempt_is_ignored(self) -> None:
        for outcome in (Succeeded(manifest(1)), Failed(Reason.CORRUPT_MEDIA, "bad"), NotStarted("away")):
            decision = decide(task(RUNNING), Facts(running=2, outcome=outcome, outcome_attempt=1), NOW)
            assert decision == Decision(RUNNING)


class TestProgress:
    running = Facts(running=2, progress=Progress(30, 120, 9.0))

    def test_a_running_attempt_tells_how_far_it_is(self) -> None:
        decision = decide(task(RUNNING), self.running, NOW)
        assert decision.actions == ()
        assert decision.status == RUNNING.model_copy(
            update={
                "progress_percent": 25,
                "frames": FrameCount(done=30, of=120),
                "estimated_finish_at": NOW + soon(seconds=9),
            }
        )

    def test_within_a_percent_nothing_is_written(self) -> None:
        """The estimate is a moment, so that it stays true without being written again."""
        status = decide(task(RUNNING), self.running, NOW).status
        later = replace(self.running, progress=Progress(31, 120, 5.0))
        assert decide(task(status), later, NOW + soon(seconds=1)).status == status
        assert decide(task(status), Facts(running=2), NOW + soon(seconds=1)).status == status

    def test_the_first_word_counts_even_if_nothing_is_done(self) -> None:
        status = decide(task(RUNNING), replace(self.running, progress=Progress(0, 120, None)), NOW).status
        assert (status.progress_percent, status.frames) == (0, FrameCount(done=0, of=120))
        assert status.estimated_finish_at is None

    def test_the_first_word_tells_what_the_source_is(self) -> None:
        first = replace(self.running, progress=Progress(0, 120, None, media_type="video/mp4"))
        status = decide(task(RUNNING), first, NOW).status
        assert status.media_type == "video/mp4"
        silent = replace(self.running, progress=Progress(60, 120, None))
        assert decide(task(status), silent, NOW).status.media_type == "video/mp4"
        unknown = status.model_copy(update={"media_type": None})
        assert decide(task(unknown), first, NOW).status.media_type == "video/mp4"

    def test_a_retry_tells_what_it_found_done(self) -> None:
        further = RUNNING.model_copy(update={"progress_percent": 57, "frames": FrameCount(done=68, of=120)})
        assert decide(task(further), self.running, NOW).status.progress_percent == 25

    def test_all_frames_are_not_all_of_it(self) -> None:
        """What is left is joined, written and published."""
        status = decide(task(RUNNING), replace(self.running, progress=Progress(120, 120, 0.0)), NOW).status
        assert status.progress_percent == 99

    def test_who_finds_more_finished_than_the_one_before_forgives_a_failure(self) -> None:
        """Kills do not end a long video as long as each attempt gets further; one that kills every attempt does."""
        failed = RUNNING.model_copy(update={"failures": 2, "frames": FrameCount(done=50, of=120, kept=20)})
        further = replace(self.running, progress=Progress(30, 120, 9.0, kept=30))
        status = decide(task(failed), further, NOW).status
        assert (status.failures, status.frames) == (1, FrameCount(done=30, of=120, kept=30))
        assert decide(task(status), further, NOW).status == status
        later = replace(self.running, progress=Progress(90, 120, 9.0, kept=30))
        assert decide(task(status), later, NOW).status.failures == 1
        for kept in (10, 20):
            same = replace(self.running, progress=Progress(30, 120, 9.0, kept=kept))
            assert decide(task(failed), same, NOW).status.failures == 2
        first = RUNNING.model_copy(update={"frames": None})
        assert decide(task(first), further, NOW).status.failures == 0

    @pytest.mark.parametrize("outcome", [NotStarted("away"), Failed(Reason.WORKER_LOST, "killed")])
    def test_between_attempts_there_is_no_estimate(self, outcome: Outcome) -> None:
        status = decide(task(RUNNING), self.running, NOW).status
        after = decide(task(status), Facts(outcome=outcome, outcome_attempt=2), NOW).status
        assert (after.progress_percent, after.estimated_finish_at) == (25, None)

    def test_a_stale_attempt_tells_nothing(self) -> None:
        assert decide(task(RUNNING), replace(self.running, running=1), NOW).status == RUNNING

    @pytest.mark.parametrize("frames", [None, 118])
    def test_a_result_ends_it(self, frames: int | None) -> None:
        status = decide(task(RUNNING), self.running, NOW).status
        made = manifest(2)
        made = made.model_copy(update={"result": made.result.model_copy(update={"frames": frames})})
        after = decide(task(status), Facts(outcome=Succeeded(made), outcome_attempt=2), NOW).status
        assert (after.progress_percent, after.estimated_finish_at) == (100, None)
        assert after.frames == (None if frames is None else FrameCount(done=118, of=118))


class TestFailing:
    @pytest.mark.parametrize("reason", sorted(INPUT_REASONS))
    def test_bad_input_fails_at_once(self, reason: Reason) -> None:
        facts = Facts(outcome=Failed(reason, "bytes end too soon"), outcome_attempt=2)
        decision = decide(task(RUNNING, backoff_limit=5), facts, NOW)
        ended(decision.status, FAILED, reason)
        assert decision.status.message == "bytes end too soon"

    @pytest.mark.parametrize(
        ("failures", "wait"), [(0, 2), (1, 4), (2, 8), (6, 256 / 2), (7, 256), (8, 300), (99, 300)]
    )
    def test_other_failures_back_off(self, failures: int, wait: float) -> None:
        status = RUNNING.model_copy(update={"failures": failures})
        facts = Facts(outcome=Failed(Reason.WORKER_LOST, "killed"), outcome_attempt=2)
        decision = decide(task(status, backoff_limit=100), facts, NOW)
        assert decision.status.phase is Phase.PENDING
        assert (decision.status.reason, decision.status.failures) == (Reason.RETRYING, failures + 1)
        assert decision.status.retry_at == decision.wake == NOW + soon(seconds=wait)
        assert soon(seconds=wait) <= RETRY_CAP
        assert decide(task(decision.status, backoff_limit=100), facts, NOW).status == decision.status

    @pytest.mark.parametrize("limit", [0, 1, 2, 100])
    def test_after_the_limit_it_fails(self, limit: int) -> None:
        status = RUNNING.model_copy(update={"failures": limit})
        facts = Facts(outcome=Failed(Reason.WORKER_LOST, "killed"), outcome_attempt=2)
        decision = decide(task(status, backoff_limit=limit), facts, NOW)
        ended(decision.status, FAILED, Reason.BACKOFF_LIMIT_EXCEEDED)
        assert "WorkerLost: killed" in decision.status.message

    def test_a_connection_that_breaks_does_not_count_at_first(self) -> None:
        """Ray's head dies with everybody's orders; a picture that kills its pod looks the same, and comes to an end."""
        status = RUNNING
        facts = Facts(outcome=Failed(Reason.WORKER_LOST, "reset", broke_off=True), outcome_attempt=2)
        for number, seconds in ((1, 2), (2, 4), (3, 8)):
            decision = decide(task(status, backoff_limit=0), facts, NOW)
            found = decision.status
            assert (found.phase, found.reason) == (Phase.PENDING, Reason.INTERRUPTED)
            assert (found.failures, found.disruptions) == (0, number)
            assert f"attempt 2 broke off and does not count ({number} of 3): reset" in found.message
            assert found.retry_at == decision.wake == NOW + soon(seconds=seconds)
            assert [note.kind for note in decision.notes] == ["Warning"]
            status = RUNNING.model_copy(update={"disruptions": found.disruptions})
        decision = decide(task(status, backoff_limit=1), facts, NOW)
        assert (decision.status.reason, decision.status.failures) == (Reason.RETRYING, 1)
        ended(decide(task(status, backoff_limit=0), facts, NOW).status, FAILED, Reason.BACKOFF_LIMIT_EXCEEDED)

    def test_no_room_in_ray_does_not_count(self) -> None:
        facts = Facts(outcome=NotStarted("no replica"), outcome_attempt=2)
        decision = decide(task(RUNNING, backoff_limit=0), facts, NOW)
        assert (decision.status.phase, decision.status.reason) == (Phase.PENDING, Reason.RAY_UNAVAILABLE)
        assert decision.status.failures == 0
        assert decision.status.retry_at == decision.wake == NOW + UNAVAILABLE_RETRY

    def test_a_traceback_of_any_length_fits(self) -> None:
        for reason in (Reason.CORRUPT_MEDIA, Reason.PIPELINE_FAILED):
            facts = Facts(outcome=Failed(reason, "x" * 100_000), outcome_attempt=2)
            decision = decide(task(RUNNING), facts, NOW)
            assert TaskStatus.model_validate(decision.status.wire()) == decision.status
            assert len(decision.status.message) <= 2048


class TestDeadline:
    late = NOW + timedelta(seconds=31)

    def test_it_ends_a_running_attempt(self) -> None:
        decision = decide(task(RUNNING, active_deadline_seconds=60), Facts(running=2), self.late)
        assert decision.status.reason == Reason.DEADLINE_EXCEEDED
        assert decision.status.failed
        assert decision.actions == (Cancel(), Tidy())

    def test_it_ends_waiting_too(self) -> None:
        waiting = RUNNING.model_copy(update={"phase": Phase.PENDING})
        decision = decide(task(waiting, active_deadline_seconds=60), ROOM, self.late)
        assert decision.status.reason == Reason.DEADLINE_EXCEEDED
        assert decision.actions == (Tidy(),)

    def test_a_task_that_never_started_has_none(self) -> None:
        assert decide(task(PENDING, active_deadline_seconds=1), Facts(), NOW + soon(days=1)) == Decision(PENDING)

    @pytest.mark.parametrize(
        "facts",
        [
            Facts(running=2),
            Facts(),
            Facts(slot=True),
            Facts(slot=True, model="missing", model_message="none"),
            Facts(outcome=NotStarted("away"), outcome_attempt=2),
            Facts(outcome=Failed(Reason.WORKER_LOST, "killed"), outcome_attempt=2),
        ],
    )
    def test_whatever_it_waits_for_the_deadline_wakes_it(self, facts: Facts) -> None:
        """Else a task whose model never comes would wait for ever, deadline or not."""
        decision = decide(task(RUNNING, active_deadline_seconds=31), facts, NOW)
        assert decision.wake == NOW + soon(seconds=1)


class TestSuspending:
    def test_a_running_attempt_is_cancelled(self) -> None:
        decision = decide(task(RUNNING, suspend=True), Facts(running=2, slot=True), NOW)
        assert decision.actions == (Cancel(),)
        assert decision.status.phase is Phase.SUSPENDED
        assert decision.status.attempt == 2
        assert holds(decision.status.conditions, SUSPENDED)

    def test_nothing_starts(self) -> None:
        decision = decide(task(suspend=True), ROOM, NOW)
        assert decision.actions == ()
        assert decide(task(decision.status, suspend=True), ROOM, NOW) == Decision(decision.status)

    def test_what_still_runs_is_cancelled_again(self) -> None:
        suspended = decide(task(suspend=True), ROOM, NOW).status
        assert decide(task(suspended, suspend=True), Facts(running=0), NOW).actions == (Cancel(),)

    def test_the_deadline_does_not_run(self) -> None:
        suspended = decide(task(RUNNING, suspend=True, active_deadline_seconds=60), Facts(), NOW)
        assert suspended.wake is None
        later = NOW + soon(days=1)
        assert not decide(task(suspended.status, suspend=True, active_deadline_seconds=60), ROOM, later).status.finished
        resumed = decide(task(suspended.status, active_deadline_seconds=60), ROOM, later)
        assert resumed.status.started_at == later
        assert resumed.actions == (Start(3),)

    def test_resuming_starts_the_next_attempt(self) -> None:
        suspended = decide(task(RUNNING, suspend=True), Facts(), NOW).status
        later = NOW + soon(minutes=5)
        decision = decide(task(suspended), ROOM, later)
        assert decision.actions == (Start(3),)
        found = condition(decision.status.conditions, SUSPENDED)
        assert found is not None
        assert (found.status, found.reason, found.last_transition_time) == ("False", Reason.RESUMED, later)

    def test_a_result_made_meanwhile_is_found_on_resuming(self) -> None:
        suspended = decide(task(RUNNING, suspend=True), Facts(running=2), NOW).status
        facts = Facts(outcome=Succeeded(manifest(2)), outcome_attempt=2, manifest=manifest(2), slot=True)
        assert decide(task(suspended, suspend=True), facts, NOW) == Decision(suspended)
        assert decide(task(suspended), facts, NOW).status.complete

    def test_a_finished_task_is_not_suspended(self) -> None:
        done = decide(task(RUNNING), Facts(manifest=manifest(2)), NOW).status
        assert decide(task(done, suspend=True), Facts(), NOW) == Decision(done)


class TestExporting:
    published = RUNNING.model_copy(update={"result": result(2, face=1)})

    def test_a_destination_comes_before_the_end(self) -> None:
        decision = decide(task(RUNNING, destination={"prefix": "out/"}), Facts(manifest=manifest(2, face=1)), NOW)
        assert decision.actions == (Export(),)
        assert not decision.status.finished
        assert (decision.status.reason, decision.status.result) == (Reason.EXPORTING, manifest(2, face=1).result)

    def test_it_goes_on_after_a_crash(self) -> None:
        assert decide(task(self.published, destination={"prefix": "out/"}), ROOM, NOW).actions == (Export(),)

    def test_a_copied_result_is_complete(self) -> None:
        decision = decide(task(self.published, destination={"prefix": "out/"}), Facts(exported=True), NOW)
        ended(decision.status, COMPLETE, Reason.ANONYMIZED)
        assert decision.status.result == self.published.result

    def test_a_failed_copy_is_tried_again(self) -> None:
        decision = decide(task(self.published, destination={"prefix": "out/"}), Facts(export_error="disk full"), NOW)
        assert (decision.status.failures, decision.wake) == (1, NOW + soon(seconds=2))
        waiting = task(decision.status, destination={"prefix": "out/"})
        assert decide(waiting, ROOM, NOW + soon(seconds=1)) == Decision(decision.status, wake=NOW + soon(seconds=2))
        assert decide(waiting, ROOM, NOW + soon(seconds=2)).actions == (Export(),)

    def test_and_given_up_at_the_limit(self) -> None:
        status = self.published.model_copy(update={"failures": 2})
        decision = decide(task(status, destination={"prefix": "out/"}), Facts(export_error="disk full"), NOW)
        ended(decision.status, FAILED, Reason.BACKOFF_LIMIT_EXCEEDED)
        assert decision.status.message == "disk full"

    def test_a_published_result_is_not_made_again(self) -> None:
        facts = Facts(outcome=Succeeded(manifest(2, person=9)), outcome_attempt=2, slot=True)
        decision = decide(task(self.published, destination={"prefix": "out/"}), facts, NOW)
        assert decision.status == self.published


def test_the_condition_of_suspension_ends_with_the_task() -> None:
    conditions = set_condition((), SUSPENDED, "True", "Suspended", "", generation=1, now=NOW - soon(hours=1))
    status = RUNNING.model_copy(update={"conditions": conditions})
    decision = decide(task(status), Facts(manifest=manifest(2, uid=UID)), NOW)
    assert not holds(decision.status.conditions, SUSPENDED)
    assert holds(decision.status.conditions, COMPLETE)
