"""What follows the end of a task: the webhook until it is delivered or given up, then the time to live."""

from dataclasses import replace
from datetime import datetime, timedelta

from velum.api import conditions as known
from velum.api.reasons import Reason
from velum.api.status import TaskStatus, WebhookState, WebhookStatus
from velum.api.task import AnonymizationTask
from velum.tasks.decision import Action, Cancel, Decision, Delete, Deliver, Facts, Note, Tidy
from velum.tasks.transitions import end

WEBHOOK_SCHEDULE = tuple(timedelta(seconds=s) for s in (0, 5, 30, 120, 600, 1800, 7200, 18_000))
"""When call n is made, after the one before. The last comes about 7.7 h after the end: longer than most outages of a
receiver, as Standard Webhooks suggests."""


def complete(task: AnonymizationTask, status: TaskStatus, now: datetime) -> Decision:
    """Return the decision that ends the task well: its result is published and where it should be."""
    counts = status.result.detections if status.result is not None else {}
    found = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count) or "nothing to hide"
    ended = end(task, status, known.COMPLETE, Reason.ANONYMIZED, found, now)
    return _then(task, Decision(ended, notes=(Note("Normal", Reason.ANONYMIZED, found),)), now)


def fail(
    task: AnonymizationTask, status: TaskStatus, reason: Reason, message: str, now: datetime, *, cancel: bool = False
) -> Decision:
    """Return the decision that ends the task badly, with the reason."""
    ended = end(task, status, known.FAILED, reason, message, now)
    actions: tuple[Action, ...] = (Cancel(),) if cancel else ()
    if status.attempt > 0 and not task.purges_files:
        actions += (Tidy(),)  # in vain for a picture, but the record does not tell that it is one
    return _then(task, Decision(ended, actions, (Note("Warning", reason, message),)), now)


def _then(task: AnonymizationTask, decision: Decision, now: datetime) -> Decision:
    """Return the decision with what follows the end, so that the end costs one status write, not two."""
    status = decision.status
    if task.spec.webhook is not None:
        status = status.model_copy(update={"webhook": WebhookStatus(next_attempt_at=now)})
        decision = replace(decision, status=status, actions=(*decision.actions, Deliver()))
    return replace(decision, wake=_expires_at(task, status))


def afterwards(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Return the decision for a task that has ended: cancel what still runs, call the webhook, expire."""
    status = task.status
    if facts.running is not None:
        return Decision(status, (Cancel(),))
    if status.webhook is not None and status.webhook.state is WebhookState.PENDING:
        return _webhook(task, facts, status, status.webhook, now)
    return _expiry(task, status, now)


def _webhook(
    task: AnonymizationTask, facts: Facts, status: TaskStatus, webhook: WebhookStatus, now: datetime
) -> Decision:
    if facts.delivered is None:
        if webhook.next_attempt_at is not None and now < webhook.next_attempt_at:
            return Decision(status, wake=webhook.next_attempt_at)
        return Decision(status, (Deliver(),))
    attempts = webhook.attempts + 1
    if facts.delivered == "":
        sent = WebhookStatus(state=WebhookState.SENT, attempts=attempts)
        note = Note("Normal", Reason.WEBHOOK_SENT, f"delivered at call {attempts}")
        return Decision(status.model_copy(update={"webhook": sent}), notes=(note,), wake=_expires_at(task, status))
    error = facts.delivered[:1024]
    if attempts >= len(WEBHOOK_SCHEDULE):
        lost = WebhookStatus(state=WebhookState.FAILED, attempts=attempts, last_error=error)
        note = Note("Warning", Reason.WEBHOOK_FAILED, f"given up after {attempts} calls: {error}")
        return Decision(status.model_copy(update={"webhook": lost}), notes=(note,), wake=_expires_at(task, status))
    due = now + WEBHOOK_SCHEDULE[attempts]
    again = WebhookStatus(attempts=attempts, next_attempt_at=due, last_error=error)
    return Decision(status.model_copy(update={"webhook": again}), wake=due)


def _expires_at(task: AnonymizationTask, status: TaskStatus) -> datetime | None:
    seconds = task.spec.ttl_seconds_after_finished
    if seconds is None or status.finished_at is None:
        return None
    return status.finished_at + timedelta(seconds=seconds)


def _expiry(task: AnonymizationTask, status: TaskStatus, now: datetime) -> Decision:
    """Return the decision for a task that has nothing left to do but to expire."""
    due = _expires_at(task, status)
    if due is None or now < due:
        return Decision(status, wake=due)
    return Decision(status, (Delete(),), (Note("Normal", Reason.EXPIRED, "ttlSecondsAfterFinished has passed"),))
