"""The proof that the life of a task loses nothing: random lives with crashes between any two steps.

Hypothesis drives `support.world`. After every step the invariants below are checked on what is really in the database
and on the disk; at the end of each life all troubles stop, and everything must come to its end.

That the proof can fail is a test as well: each mutant at the bottom breaks one rule of the design, and must be caught.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.samples import ManualClock
from support.world import Controller, Decide, World
from velum.api.reasons import Reason
from velum.api.status import Phase as TaskPhase
from velum.api.status import TaskStatus, WebhookState
from velum.api.task import AnonymizationTask
from velum.tasks import lifecycle
from velum.tasks.decision import Decision, Deliver, Facts, Start
from velum.tasks.order import Succeeded
from velum.tasks.sqlite import SqliteStore

MOST_TASKS = 2
LAST_STEPS = 400  # more than all that can be left to do for two tasks; reaching it means going in circles
STEPS_PER_LIFE = 40

seldom = st.integers(0, 3).map(lambda number: number == 0)
"""Whether a trouble happens that most lives must be spared for a while to get anywhere."""

which = st.integers(0, 100)
controllers = st.integers(0, 1)


class Lives(RuleBasedStateMachine):
    """Rules are what can happen next; `steps_forward` and `settle` are what must be true."""

    decide: Decide = staticmethod(lifecycle.decide)
    make_store: Callable[[Path, ManualClock], SqliteStore] = staticmethod(SqliteStore)

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="velum-world-"))
        self.world = World(self.folder, type(self).decide, type(self).make_store)
        self.last: dict[str, AnonymizationTask] = {}

    def some(self, number: int) -> str:
        names = list(self.world.accepted)
        return names[number % len(names)]

    # What can happen

    @initialize(
        picture=st.sampled_from(["good", "good", "CorruptMedia"]),
        webhook=st.booleans(),
        exported=st.booleans(),
    )
    def first(self, picture: str, webhook: bool, exported: bool) -> None:
        self.accept(picture, webhook, exported, None, 1)

    @precondition(lambda self: len(self.world.accepted) < MOST_TASKS)
    @rule(
        picture=st.sampled_from(["good", "good", "CorruptMedia", "PipelineFailed"]),
        webhook=st.booleans(),
        exported=st.booleans(),
        ttl=st.sampled_from([None, None, 30]),
        limit=st.integers(0, 2),
    )
    def accept(self, picture: str, webhook: bool, exported: bool, ttl: int | None, limit: int) -> None:
        fields: dict[str, Any] = {"ttl_seconds_after_finished": ttl, "backoff_limit": limit}
        if webhook:
            fields["webhook"] = {"url": "https://example.com/done"}
        if exported:
            fields["destination"] = {"prefix": "out/"}
        self.world.create(picture, **fields)

    @rule(index=controllers, number=which)
    def look(self, index: int, number: int) -> None:
        self.world.look(self.world.controllers[index], self.some(number))

    @rule(index=controllers, number=which, slot=st.sampled_from([True, True, False]))
    def reconcile(self, index: int, number: int, slot: bool) -> None:
        self.world.reconcile(self.world.controllers[index], self.some(number), slot=slot)

    @rule(index=controllers, number=which)
    def look_and_reconcile(self, index: int, number: int) -> None:
        self.look(index, number)
        self.reconcile(index, number, True)

    @rule(index=controllers, well=st.sampled_from([True, True, False]))
    def act(self, index: int, well: bool) -> None:
        self.world.act(self.world.controllers[index], well=well)

    @rule(index=controllers, number=which)
    def a_whole_pass(self, index: int, number: int) -> None:
        self.look_and_reconcile(index, number)
        while self.world.act(self.world.controllers[index]):
            pass

    @precondition(lambda self: self.world.replicas)
    @rule(number=which, steps=st.sampled_from([1, 2, 4, 4]))
    def work(self, number: int, steps: int) -> None:
        replica = self.world.replicas[number % len(self.world.replicas)]
        for _ in range(steps):
            if replica in self.world.replicas:
                self.world.work(replica)

    @precondition(lambda self: self.world.replicas)
    @rule(number=which, really=seldom)
    def die(self, number: int, really: bool) -> None:
        if really:
            self.world.die(self.world.replicas[number % len(self.world.replicas)])

    @rule(index=controllers, really=seldom)
    def crash(self, index: int, really: bool) -> None:
        if really:
            self.world.crash(index)

    @rule(number=which, suspended=st.booleans(), really=seldom)
    def suspend(self, number: int, suspended: bool, really: bool) -> None:
        if really:
            self.world.suspend(self.some(number), suspended)

    @rule(number=which, wish=st.sampled_from(["delete", "purge"]), really=seldom)
    def remove(self, number: int, wish: str, really: bool) -> None:
        if really:
            getattr(self.world, wish)(self.some(number))

    @rule(seconds=st.sampled_from([1, 3, 40]))
    def wait(self, seconds: int) -> None:
        self.world.clock.forward(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    # What must be true at any time

    @invariant()
    def steps_forward(self) -> None:
        assert self.world.premature == [], "a webhook was called before the end"
        for name in self.world.accepted:
            now, before = self.world.record(name), self.last.get(name)
            if now is None:
                assert name in self.world.unwanted, "an accepted task is gone"
                continue
            self.never_back(before.status if before else TaskStatus(), now.status)
            self.result_is_whole(now)
            self.last[name] = now

    def never_back(self, before: TaskStatus, now: TaskStatus) -> None:
        assert now.attempt >= before.attempt, "the attempt went back"
        assert not (now.complete and now.failed)
        if before.finished:
            assert (now.complete, now.failed) == (before.complete, before.failed), "an end was not the end"
            assert now.attempt == before.attempt, "an attempt was started after the end"
        if before.result is not None:
            purged = now.phase is TaskPhase.DELETED and now.result is None
            assert purged or now.result == before.result, "a published result has changed"
        if now.failed:
            assert now.reason, "a failure has no name"

    def result_is_whole(self, task: AnonymizationTask) -> None:
        status = task.status
        if status.complete and status.phase is not TaskPhase.DELETED:
            assert status.result is not None, "complete without a result"
        if status.result is None or task.deleting or task.purges_files:
            return
        assert status.result.attempt == status.attempt, "the result is of another attempt than the status names"
        for role, file in status.result.files().items():
            self.is_intact(file.key, file.sha256)
            if status.complete and task.spec.destination is not None:
                self.is_intact(task.spec.destination.prefix + role, file.sha256)

    def is_intact(self, key: str, sha256: str) -> None:
        path = self.world.root / key
        assert path.exists(), f"{key} is missing"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256, f"{key} was made by somebody else"

    # What must come true when all troubles stop

    def settle(self) -> None:
        world = self.world
        world.crash(0)  # one controller is left, and it has just started
        world.crash(1)
        for name in world.accepted:
            world.suspend(name, False)
        for _ in range(LAST_STEPS):
            if not self.one_round(world.controllers[0]):
                break
            self.steps_forward()
        else:
            raise AssertionError("it never comes to rest")
        while world.replicas:  # zombies finish late
            world.work(world.replicas[0])
        self.steps_forward()
        world.sweep()
        for name in world.accepted:
            self.has_ended(name)

    def one_round(self, controller: Controller) -> bool:
        """Let everybody do their next thing; tell whether there was any."""
        world, busy = self.world, False
        for replica in list(world.replicas):
            if replica.controller is not None:
                world.work(replica)
                busy = True
        while world.act(controller):
            busy = True
        waits: list[datetime] = []
        for name in world.accepted:
            world.look(controller, name)
            task = controller.seen.get(name)
            if task is None:
                continue
            decision = world.decide(task, world.facts(controller, task, True), world.clock.now())
            busy = busy or decision.status != task.status or bool(decision.actions)
            waits += [decision.wake] if decision.wake else []
            world.reconcile(controller, name)
        if not busy and waits:
            world.clock.time = max(world.clock.time, min(waits))
            busy = True
        return busy

    def has_ended(self, name: str) -> None:
        record = self.world.record(name)
        if name in self.world.unwanted:
            assert record is None, "what was to go is still there"
            assert self.world.files(f"tasks/default/{name}/") == [], "files were left behind"
            return
        assert record is not None
        assert record.status.finished, "accepted, and neither a result nor a failure"
        if record.status.phase is TaskPhase.DELETED:
            assert self.world.files(f"tasks/default/{name}/") == [], "purged files were left behind"
        elif self.world.accepted[name] == "CorruptMedia":
            assert record.status.failed
        elif record.status.failed:
            assert record.status.reason == Reason.BACKOFF_LIMIT_EXCEEDED
        if record.spec.webhook is not None:
            assert record.status.webhook is not None, "an end without its webhook"
            assert record.status.webhook.state is WebhookState.SENT
            assert self.world.calls[name] >= 1, "recorded as sent, never called"

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.world.close()
            shutil.rmtree(self.folder)


LIVES = settings(
    max_examples=40,
    stateful_step_count=STEPS_PER_LIFE,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TestLives = Lives.TestCase
TestLives.settings = LIVES


# Mutants


def without_fence(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Publish whatever attempt comes in, whichever the status names."""
    decision = lifecycle.decide(task, facts, now)
    outcome = facts.outcome
    if isinstance(outcome, Succeeded) and task.status.phase is TaskPhase.RUNNING and not task.status.finished:
        return lifecycle._publish(task, outcome.manifest, task.status, now)
    return decision


def waiting_for_the_dead(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Wait for ever for an attempt that nobody runs any more."""
    if task.status.phase is TaskPhase.RUNNING and facts.running is None and facts.outcome is None:
        return Decision(task.status)
    return lifecycle.decide(task, facts, now)


def with_one_number_for_all_attempts(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Start every attempt as number 1: they share a folder."""
    decision = lifecycle.decide(task, facts, now)
    if decision.actions and isinstance(decision.actions[0], Start):
        return replace(decision, status=decision.status.model_copy(update={"attempt": 1}), actions=(Start(1),))
    return decision


def without_webhook_on_purge(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Forget the webhook of a task that was purged."""
    decision = lifecycle.decide(task, facts, now)
    if task.purges_files and not task.deleting and decision.status.webhook is not None:
        return Decision(decision.status)
    return decision


def complete_before_the_copy(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Call it complete before it is where it should be."""
    return lifecycle.decide(task, replace(facts, exported=True), now)


def calling_at_once(task: AnonymizationTask, facts: Facts, now: datetime) -> Decision:
    """Call the webhook when an attempt starts."""
    decision = lifecycle.decide(task, facts, now)
    early = (Deliver(),) if any(isinstance(action, Start) for action in decision.actions) else ()
    return replace(decision, actions=(*decision.actions, *early))


class LastWriterWins(SqliteStore):
    """A store without compare-and-swap."""

    async def write_status(self, task: AnonymizationTask, status: TaskStatus) -> AnonymizationTask:
        return await super().write_status(await self.get(task.name), status)


MUTANTS: dict[str, dict[str, Any]] = {
    "publishes stale attempts": {"decide": staticmethod(without_fence)},
    "waits for the dead": {"decide": staticmethod(waiting_for_the_dead)},
    "numbers no attempts": {"decide": staticmethod(with_one_number_for_all_attempts)},
    "forgets webhooks on purge": {"decide": staticmethod(without_webhook_on_purge)},
    "completes before the copy": {"decide": staticmethod(complete_before_the_copy)},
    "calls before the end": {"decide": staticmethod(calling_at_once)},
    "lets the last writer win": {"make_store": staticmethod(LastWriterWins)},
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_proof_can_fail(name: str) -> None:
    mutant = type("Mutant", (Lives,), MUTANTS[name])
    hunt = settings(LIVES, max_examples=400, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(mutant, settings=hunt)
