"""What follows the end: the webhook's schedule, and the time to live."""

from datetime import timedelta

import pytest

from support.samples import NOW, manifest, task
from velum.api.reasons import Reason
from velum.api.status import Phase, TaskStatus, WebhookState, WebhookStatus
from velum.tasks.afterwards import WEBHOOK_SCHEDULE
from velum.tasks.decision import Cancel, Decision, Delete, Deliver, Facts, Tidy
from velum.tasks.lifecycle import decide
from velum.tasks.order import Failed

WEBHOOK = {"url": "https://example.com/done"}
RUNNING = TaskStatus(phase=Phase.RUNNING, attempt=1, started_at=NOW, observed_generation=1)
DONE = decide(task(RUNNING), Facts(manifest=manifest()), NOW).status
CALLING = decide(task(RUNNING, webhook=WEBHOOK), Facts(manifest=manifest()), NOW).status


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class TestWebhook:
    def test_the_end_calls_at_once_in_the_same_write(self) -> None:
        for facts in (Facts(manifest=manifest()), Facts(outcome=Failed(Reason.EMPTY_MEDIA, "0 B"), outcome_attempt=1)):
            decision = decide(task(RUNNING, webhook=WEBHOOK), facts, NOW)
            assert [each for each in decision.actions if each != Tidy()] == [Deliver()]
            assert decision.status.webhook == WebhookStatus(next_attempt_at=NOW)

    def test_without_one_nothing_is_called(self) -> None:
        assert DONE.webhook is None
        assert decide(task(DONE), Facts(), NOW) == Decision(DONE)

    def test_a_call_that_was_forgotten_is_made(self) -> None:
        assert decide(task(CALLING, webhook=WEBHOOK), Facts(), NOW).actions == (Deliver(),)

    def test_success_is_recorded(self) -> None:
        decision = decide(task(CALLING, webhook=WEBHOOK), Facts(delivered=""), NOW)
        assert decision.status.webhook == WebhookStatus(state=WebhookState.SENT, attempts=1)
        assert decision.actions == ()
        assert [note.reason for note in decision.notes] == [Reason.WEBHOOK_SENT]
        assert decide(task(decision.status, webhook=WEBHOOK), Facts(delivered="late"), NOW).status == decision.status

    def test_failures_follow_the_schedule_and_end(self) -> None:
        status, now, calls = CALLING, NOW, []
        while status.webhook is not None and status.webhook.state is WebhookState.PENDING:
            due = decide(task(status, webhook=WEBHOOK), Facts(), now)
            assert due.actions == (Deliver(),)
            calls.append(now - NOW)
            decision = decide(task(status, webhook=WEBHOOK), Facts(delivered="refused" * 500), now)
            assert decision.status.finished_at == NOW
            status = decision.status
            if decision.wake is not None:
                early = decide(task(status, webhook=WEBHOOK), Facts(), decision.wake - seconds(0.001))
                assert early == Decision(status, wake=decision.wake)
                now = decision.wake
        assert calls == [sum(WEBHOOK_SCHEDULE[: n + 1], timedelta()) for n in range(len(WEBHOOK_SCHEDULE))]
        assert timedelta(hours=7) < calls[-1] < timedelta(hours=9)
        assert status.webhook is not None
        assert (status.webhook.state, status.webhook.attempts) == (WebhookState.FAILED, len(WEBHOOK_SCHEDULE))
        assert status.webhook.last_error.startswith("refused")
        assert TaskStatus.model_validate(status.wire()) == status
        assert decide(task(status, webhook=WEBHOOK), Facts(), now) == Decision(status)

    def test_what_still_runs_is_cancelled_before(self) -> None:
        assert decide(task(CALLING, webhook=WEBHOOK), Facts(running=1), NOW) == Decision(CALLING, (Cancel(),))


class TestTimeToLive:
    def test_the_end_says_when(self) -> None:
        decision = decide(task(RUNNING, ttl_seconds_after_finished=60), Facts(manifest=manifest()), NOW)
        assert decision.wake == NOW + seconds(60)

    @pytest.mark.parametrize("ttl", [0, 60])
    def test_it_goes_when_due_and_not_before(self, ttl: int) -> None:
        kept = task(DONE, ttl_seconds_after_finished=ttl)
        due = NOW + seconds(ttl)
        assert decide(kept, Facts(), due - seconds(0.001)) == Decision(DONE, wake=due)
        late = decide(kept, Facts(), due)
        assert late.actions == (Delete(),)
        assert late.status == DONE

    def test_without_one_it_stays(self) -> None:
        assert decide(task(DONE), Facts(), NOW + timedelta(days=10_000)) == Decision(DONE)

    def test_the_webhook_comes_first(self) -> None:
        kept = task(CALLING, webhook=WEBHOOK, ttl_seconds_after_finished=0)
        assert decide(kept, Facts(), NOW).actions == (Deliver(),)
        sent = decide(kept, Facts(delivered=""), NOW)
        assert sent.wake == NOW
        assert decide(task(sent.status, webhook=WEBHOOK, ttl_seconds_after_finished=0), Facts(), NOW).actions == (
            Delete(),
        )
