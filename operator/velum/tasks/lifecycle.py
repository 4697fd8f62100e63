"""The life of a task as one pure function: (task, facts, now) → decision.

The controller gathers facts, calls `decide`, performs the decision's one status write (compare-and-swap), and only
then starts its actions. Nothing here remembers anything: after a crash between any two steps the same function,
given what can be seen then, finds the way on.

```
            suspend ┌───────────┐ resume
        ┌──────────►│ Suspended │────────┐
        │           └───────────┘        ▼
   ┌─────────┐ Start(n+1) ┌─────────┐ manifest n ┌───────────┐ export ┌──────────┐
   │ Pending │───────────►│ Running │───────────►│ published │───────►│ Complete │
   └─────────┘◄───────────└─────────┘            └───────────┘        └──────────┘
        ▲   retry, interrupted  │ input is bad, limit or deadline reached   ┌────────┐
        └───────────────────────┴──────────────────────────────────────────►│ Failed │
                                                                            └────────┘
```
"""

from dataclasses import replace
from datetime import datetime, timedelta

from velum.api import conditions as known
from velum.api.reasons import Reason
from velum.api.status import Phase, TaskStatus
from velum.api.task import AnonymizationTask
from velum.tasks.afterwards import afterwards, complete, fail
from velum.tasks.decision import (
    Action,
    AddFinalizer,
    Cancel,
    Decision,
    Export,
    Facts,
    Note,
    Release,
    RemoveFiles,
    Start,
)
from velum.tasks.order import Failed, Manifest, NotStarted, Outcome, Succeeded
from velum.tasks.transitions import observed, progressed, published, say, with_condition

RETRY_BASE = timedelta(seconds=2)
"""Wait after the first failed attempt; doubled after each further one."""

RETRY_CAP = timedelta(minutes=5)
"""Longest wait between attempts: a model that was fixed is noticed within this."""

FREE_DISRUPTIONS = 3
"""So often a task's attempts may break off with their connection before that counts: when Ray's head dies, or a node is
drained, nobody's picture is at fault, but one that kills its pod looks the same and must come to an end."""

UNAVAILABLE_RETRY = timedelta(seconds=2)
"""Wait after Ray Serve took no work: starting replicas is usual, and the task is not at fault."""


def decide(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Return what to do next for this task. Pure: same arguments, same decision."""
    if task.deleting:
        return _deletion(task, facts)
    if not task.has_finalizer:
        return Decision(task.status, (AddFinalizer(),))
    if task.purges_files:
        return _purge(task, facts, now)
    if task.status.finished:
        return afterwards(task, facts, now)
    if task.status.result is not None:
        return _export(task, facts, now)
    return _work(task, facts, now)


def _deletion(task: AnonymizationTask, facts: Facts) -> Decision:
    if not task.has_finalizer:
        return Decision(task.status)
    if facts.running is not None:
        return Decision(task.status, (Cancel(),))
    if not facts.files_removed and not task.keeps_files:
        return Decision(task.status, (RemoveFiles(),))
    return Decision(task.status, (Release(),))


def _purge(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    status = task.status
    if facts.running is not None:
        return Decision(status, (Cancel(),))
    if status.phase is Phase.DELETED:
        return afterwards(task, facts, now)
    if not facts.files_removed:
        return Decision(status, (RemoveFiles(),))
    decision = Decision(status)
    if not status.finished:
        # A purge is a way to end like others: the webhook is told.
        decision = fail(task, status, Reason.FILES_REMOVED, "cancelled: its files were removed", now)
    purged = decision.status.model_copy(update={"phase": Phase.DELETED, "result": None})
    note = Note("Normal", Reason.FILES_REMOVED, "input and result files were removed")
    return replace(decision, status=purged, notes=(note,))


def _work(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Return the decision for a task that has no result yet."""
    status = observed(task, task.status)
    if facts.running is not None and facts.running != status.attempt:
        return Decision(status, (Cancel(),))  # a newer controller has taken over: our attempt is stale
    ended = _deadline(task, facts, status, now)
    if ended is not None:
        return ended
    if task.spec.suspend:
        return _suspend(task, facts, status, now)
    if status.phase is Phase.SUSPENDED:
        status = _resume(task, status, now)
    if facts.outcome is not None and facts.outcome_attempt == status.attempt and status.phase is Phase.RUNNING:
        return _outcome(task, facts.outcome, status, now)
    if facts.running is not None:
        return Decision(progressed(status, facts.progress, now), wake=_deadline_at(task, status))
    if facts.manifest is not None and _ours(task, facts.manifest, status):
        return _publish(task, facts.manifest, status, now)
    return _start(task, facts, status, now)


def _deadline(task: AnonymizationTask, facts: Facts, status: TaskStatus, now: datetime) -> Decision | None:
    due = _deadline_at(task, status)
    if due is None or now < due:
        return None
    message = f"ran for longer than activeDeadlineSeconds={task.spec.active_deadline_seconds}"
    return fail(task, status, Reason.DEADLINE_EXCEEDED, message, now, cancel=facts.running is not None)


def _deadline_at(task: AnonymizationTask, status: TaskStatus) -> datetime | None:
    seconds = task.spec.active_deadline_seconds
    if seconds is None or status.started_at is None or task.spec.suspend:
        return None
    return status.started_at + timedelta(seconds=seconds)


def _earlier(moment: datetime, deadline: datetime | None) -> datetime:
    return moment if deadline is None else min(moment, deadline)


def _suspend(task: AnonymizationTask, facts: Facts, status: TaskStatus, now: datetime) -> Decision:
    actions: tuple[Action, ...] = (Cancel(),) if facts.running is not None else ()
    if status.phase is Phase.SUSPENDED:
        return Decision(status, actions)
    text = "spec.suspend is true"
    status = say(status, Phase.SUSPENDED, Reason.SUSPENDED, text)
    status = status.model_copy(
        update={
            "conditions": with_condition(task, status, known.SUSPENDED, "True", Reason.SUSPENDED, text, now),
            # As for Jobs: time in suspension does not count against the deadline.
            "started_at": None,
            "retry_at": None,
        }
    )
    return Decision(status, actions, (Note("Normal", Reason.SUSPENDED, text),))


def _resume(task: AnonymizationTask, status: TaskStatus, now: datetime) -> TaskStatus:
    conditions = with_condition(task, status, known.SUSPENDED, "False", Reason.RESUMED, "spec.suspend is false", now)
    return say(status, Phase.PENDING, Reason.QUEUED, "resumed").model_copy(update={"conditions": conditions})


def _outcome(task: AnonymizationTask, outcome: Outcome, status: TaskStatus, now: datetime) -> Decision:
    match outcome:
        case Succeeded(manifest) if _ours(task, manifest, status):
            return _publish(task, manifest, status, now)
        case Succeeded(manifest):
            text = f"the manifest of attempt {status.attempt} names attempt {manifest.result.attempt} of {manifest.uid}"
            return _retry(task, Reason.PIPELINE_FAILED, text, status, now)
        case NotStarted(message):
            status = say(status, Phase.PENDING, Reason.RAY_UNAVAILABLE, message)
            return _after(UNAVAILABLE_RETRY, task, status, now)
        case Failed() if outcome.permanent:
            return fail(task, status, outcome.reason, outcome.message, now)
        case Failed(_, message, broke_off=True) if status.disruptions < FREE_DISRUPTIONS:
            return _again(task, message, status, now)
        case Failed(reason, message):
            return _retry(task, reason, message, status, now)


def _again(task: AnonymizationTask, message: str, status: TaskStatus, now: datetime) -> Decision:
    disruptions = status.disruptions + 1
    text = f"attempt {status.attempt} broke off and does not count ({disruptions} of {FREE_DISRUPTIONS}): {message}"
    status = say(status, Phase.PENDING, Reason.INTERRUPTED, text).model_copy(update={"disruptions": disruptions})
    return _after(_backoff(disruptions), task, status, now, Note("Warning", Reason.INTERRUPTED, text))


def _retry(task: AnonymizationTask, reason: Reason, message: str, status: TaskStatus, now: datetime) -> Decision:
    failures = status.failures + 1
    status = status.model_copy(update={"failures": failures})
    if failures > task.spec.backoff_limit:
        text = f"{failures} attempts failed (backoffLimit {task.spec.backoff_limit}); the last: {reason}: {message}"
        return fail(task, status, Reason.BACKOFF_LIMIT_EXCEEDED, text, now)
    status = say(status, Phase.PENDING, Reason.RETRYING, f"attempt {status.attempt} failed: {reason}: {message}")
    return _after(_backoff(failures), task, status, now, Note("Warning", reason, message))


def _after(wait: timedelta, task: AnonymizationTask, status: TaskStatus, now: datetime, *notes: Note) -> Decision:
    """Return the decision to start another attempt after this wait."""
    retry = now + wait
    wake = _earlier(retry, _deadline_at(task, status))
    return Decision(status.model_copy(update={"retry_at": retry}), notes=notes, wake=wake)


def _backoff(failures: int) -> timedelta:
    """Return the wait after this many failures. The exponent is bounded because timedelta is."""
    return min(RETRY_BASE * (1 << min(failures - 1, 16)), RETRY_CAP)


def _ours(task: AnonymizationTask, manifest: Manifest, status: TaskStatus) -> bool:
    """Tell whether this is the manifest of the attempt that the status names: no other may be published."""
    return manifest.uid == task.metadata.uid and manifest.result.attempt == status.attempt


def _start(task: AnonymizationTask, facts: Facts, status: TaskStatus, now: datetime) -> Decision:
    """Return the decision for a task of which nothing runs and nothing was made.

    Whatever it waits for, it is looked at again when its deadline comes.
    """
    notes: tuple[Note, ...] = ()
    deadline = _deadline_at(task, status)
    if status.phase is Phase.RUNNING:
        text = f"attempt {status.attempt} was interrupted"
        status = say(status, Phase.PENDING, Reason.INTERRUPTED, text)
        notes = (Note("Normal", Reason.INTERRUPTED, text),)
    if task.reads_foreign_upload:
        text = "spec.source.object.key: lies in another task's folder; copy the object elsewhere and name that"
        return fail(task, status, Reason.SOURCE_FORBIDDEN, text, now)
    if facts.model == "lacks-class":
        return fail(task, status, Reason.CLASS_NOT_SERVED, facts.model_message, now)
    if facts.model == "missing":
        status = say(status, Phase.PENDING, Reason.MODEL_NOT_FOUND, facts.model_message)
        return Decision(status, notes=notes, wake=deadline)
    if status.retry_at is not None and now < status.retry_at:
        return Decision(status, notes=notes, wake=_earlier(status.retry_at, deadline))
    if not facts.slot:
        return Decision(_waiting(facts, status), notes=notes, wake=deadline)
    attempt = status.attempt + 1
    status = say(status, Phase.RUNNING, Reason.STARTED, f"attempt {attempt} runs").model_copy(
        update={"attempt": attempt, "started_at": status.started_at or now, "retry_at": None}
    )
    return Decision(status, (Start(attempt),), notes, _deadline_at(task, status))


def _waiting(facts: Facts, status: TaskStatus) -> TaskStatus:
    """Return the status of a task that waits for room. As a rule it says nothing: a write for each task in the queue
    would cost more than it tells. Only when waiting alone will not help, it says so, and later that it does again."""
    if facts.model == "failed":
        return say(status, Phase.PENDING, Reason.DEPLOY_FAILED, facts.model_message)
    if status.reason == Reason.DEPLOY_FAILED:
        return say(status, Phase.PENDING, Reason.QUEUED, "waits for room in the model")
    return status


def _publish(task: AnonymizationTask, manifest: Manifest, status: TaskStatus, now: datetime) -> Decision:
    status = published(status, manifest)
    if task.spec.destination is None:
        return complete(task, status, now)
    status = say(status, Phase.RUNNING, Reason.EXPORTING, f"copying to {task.spec.destination.prefix}")
    return Decision(status, (Export(),))


def _export(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Return the decision for a published result that is not complete: its copy is missing."""
    status = task.status
    if facts.exported:
        return complete(task, status, now)
    if facts.export_error:
        failures = status.failures + 1
        retry = now + _backoff(failures)
        status = status.model_copy(update={"failures": failures, "retry_at": retry})
        if failures > task.spec.backoff_limit:
            return fail(task, status, Reason.BACKOFF_LIMIT_EXCEEDED, facts.export_error, now)
        return Decision(status, notes=(Note("Warning", Reason.STORAGE_UNAVAILABLE, facts.export_error),), wake=retry)
    if status.retry_at is not None and now < status.retry_at:
        return Decision(status, wake=status.retry_at)
    return Decision(status, (Export(),))
