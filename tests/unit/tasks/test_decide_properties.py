"""What holds for `decide` whatever it is given: random tasks are driven along random facts."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from support.samples import NOW, manifest, task
from velum.api.conditions import condition
from velum.api.meta import FINALIZER, PURGE_FILES
from velum.api.reasons import Reason
from velum.api.status import TaskStatus
from velum.api.task import AnonymizationTask
from velum.tasks.decision import Decision, Facts, Start
from velum.tasks.lifecycle import FREE_DISRUPTIONS, decide
from velum.tasks.order import Failed, NotStarted, Progress, Succeeded

outcomes = st.one_of(
    st.none(),
    st.builds(Succeeded, st.builds(manifest, st.integers(1, 4))),
    st.builds(Failed, st.sampled_from([Reason.CORRUPT_MEDIA, Reason.WORKER_LOST]), st.just("why")),
    st.builds(Failed, st.just(Reason.WORKER_LOST), st.just("reset"), st.just(True)),
    st.builds(NotStarted, st.just("away")),
)
facts_seen = st.builds(
    Facts,
    running=st.none() | st.integers(1, 4),
    progress=st.none()
    | st.builds(Progress, st.integers(0, 300), st.just(300), st.sampled_from([None, 0.0, 12.5]), st.integers(0, 300)),
    outcome=outcomes,
    outcome_attempt=st.integers(0, 4),
    manifest=st.none() | st.builds(manifest, st.integers(1, 4), uid=st.sampled_from([task().metadata.uid, "other"])),
    slot=st.booleans(),
    model=st.sampled_from(["known", "known", "known", "missing", "lacks-class", "failed"]),
    exported=st.booleans(),
    export_error=st.sampled_from(["", "", "disk full"]),
    delivered=st.sampled_from([None, None, "", "refused"]),
    files_removed=st.booleans(),
)
tasks_applied = st.builds(
    task,
    finalizers=st.sampled_from([(FINALIZER,), (FINALIZER,), ()]),
    destination=st.sampled_from([None, {"prefix": "out/"}]),
    webhook=st.sampled_from([None, {"url": "https://example.com"}]),
    active_deadline_seconds=st.sampled_from([None, 10]),
    ttl_seconds_after_finished=st.sampled_from([None, 0, 10]),
    backoff_limit=st.integers(0, 2),
)
wishes = st.fixed_dictionaries(
    {},
    optional={"suspend": st.booleans(), "purge": st.just(True), "delete": st.just(True)},
)
lives = st.lists(st.tuples(facts_seen, st.integers(0, 20), wishes), min_size=1, max_size=12)


def asked(task: AnonymizationTask, wish: dict[str, bool]) -> AnonymizationTask:
    meta, spec = task.metadata, task.spec
    if wish.get("suspend", spec.suspend) != spec.suspend:
        spec = spec.model_copy(update={"suspend": wish["suspend"]})
        meta = meta.model_copy(update={"generation": meta.generation + 1})
    if wish.get("purge"):
        meta = meta.model_copy(update={"annotations": {PURGE_FILES: "true"}})
    if wish.get("delete"):
        meta = meta.model_copy(update={"deletion_timestamp": NOW})
    return task.model_copy(update={"metadata": meta, "spec": spec})


def lived(task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]) -> list[TaskStatus]:
    """Return the statuses that a task has had, each decision applied."""
    now, statuses = NOW, [task.status]
    for facts, seconds, wish in life:
        now += timedelta(seconds=seconds)
        task = asked(task, wish)
        task = task.model_copy(update={"status": decide(task, facts, now).status})
        statuses.append(task.status)
    return statuses


def starts(decision: Decision) -> list[int]:
    return [action.attempt for action in decision.actions if isinstance(action, Start)]


def settled(facts: Facts, decision: Decision) -> Facts:
    """Return the facts after the decision: what had happened once is used up, what was started runs."""
    started = starts(decision)
    return replace(
        facts,
        running=started[0] if started else facts.running,
        outcome=None,
        delivered=None,
        export_error="",
    )


@given(tasks_applied, lives)
def test_decisions_come_to_rest(task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]) -> None:
    """With nothing new to see, one more decision may say what is waited for now, and then there is silence.

    No decision undoes the one before, and none starts a second attempt: that would write and start for ever.
    """
    now = NOW
    for facts, seconds, wish in life:
        now += timedelta(seconds=seconds)
        task = asked(task, wish)
        before, decision = task.status, decide(task, facts, now)
        task = task.model_copy(update={"status": decision.status})
        after = settled(facts, decision)
        second = decide(task, after, now)
        assert not starts(second)
        assert second.status == decision.status or second.status != before, "two decisions undo each other"
        task = task.model_copy(update={"status": second.status})
        third = decide(task, after, now)
        assert third.status == second.status
        assert not starts(third)


def kept(status: TaskStatus) -> int:
    return 0 if status.frames is None else status.frames.kept


@given(tasks_applied, lives)
def test_what_must_never_go_back_does_not(
    task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]
) -> None:
    for before, after in pairwise(lived(task, life)):
        assert after.attempt in (before.attempt, before.attempt + 1)
        assert after.failures >= before.failures - (kept(after) > kept(before))
        assert kept(after) >= kept(before)
        assert before.disruptions <= after.disruptions <= FREE_DISRUPTIONS
        if before.finished:
            assert (after.complete, after.failed) == (before.complete, before.failed)
            assert after.finished_at == before.finished_at
            assert after.attempt == before.attempt
        if before.result is not None:
            assert after.result in (before.result, None)
        assert not (after.complete and after.failed)
        assert (after.finished_at is not None) == after.finished
        assert after.webhook is None or after.finished


@given(tasks_applied, lives)
def test_a_result_is_published_only_by_its_own_attempt(
    task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]
) -> None:
    for before, after in pairwise(lived(task, life)):
        if after.result is not None and before.result is None:
            assert after.result.attempt == before.attempt


@given(tasks_applied, lives)
def test_transition_times_move_only_with_the_status(
    task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]
) -> None:
    for before, after in pairwise(lived(task, life)):
        for new in after.conditions:
            old = condition(before.conditions, new.type)
            same = old is not None and old.status == new.status
            if same:
                assert old is not None
                assert new.last_transition_time == old.last_transition_time
        assert {each.type for each in before.conditions} <= {each.type for each in after.conditions}


@given(tasks_applied, lives)
def test_every_status_fits_the_resource_type(
    task: AnonymizationTask, life: list[tuple[Facts, int, dict[str, bool]]]
) -> None:
    for status in lived(task, life):
        assert TaskStatus.model_validate(status.wire()) == status


@given(tasks_applied, facts_seen, st.integers(0, 20))
def test_decide_is_a_function(task: AnonymizationTask, facts: Facts, seconds: int) -> None:
    now = NOW + timedelta(seconds=seconds)
    assert decide(task, facts, now) == decide(task, facts, now)
