"""The proof that the life of a task loses nothing: random lives with crashes between any two steps.

Hypothesis drives `support.world`. After every step the invariants below are checked on what is really in the database
and on the disk; at the end of each life all troubles stop, and everything must come to its end.

That the proof can fail is a test as well: each mutant at the bottom breaks one rule of the design, and must be caught.
"""

import hashlib
import random
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

MEMORY = Path("/dev/shm")  # crashes here are of processes, not of power: fsync would only take time
LAST_STEPS = 400  # more than all that can be left to do for two tasks; reaching it means going in circles
STEPS_PER_LIFE = 20
MOST_TASKS = 2

which = st.integers(0, 100)
controllers = st.integers(0, 1)

CONTROLLERS_DO = ("look", "decide", "act", "fail to act", "pass", "pass", "stale pass", "race")
REPLICAS_DO = ("one step", "two steps", "finish", "finish", "die")
OTHERS_DO = ("crash", "suspend", "resume", "delete", "purge", "sweep", "wait", "wait longer")


class Lives(RuleBasedStateMachine):
    """Rules are what can happen next; `steps_forward` and `settle` are what must be true."""

    decide: Decide = staticmethod(lifecycle.decide)
    make_store: Callable[[Path, ManualClock], SqliteStore] = staticmethod(SqliteStore)

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="velum-world-", dir=MEMORY if MEMORY.is_dir() else None))
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

    @rule(
        index=controllers,
        number=which,
        doing=st.sampled_from(CONTROLLERS_DO),
        slot=st.sampled_from([True, True, True, False]),
    )
    def a_controller(self, index: int, number: int, doing: str, slot: bool) -> None:
        controller, name = self.world.controllers[index], self.some(number)
        match doing:
            case "look":
                self.world.look(controller, name)
            case "decide":
                self.world.reconcile(controller, name, slot=slot)
            case "act" | "fail to act":
                self.world.act(controller, well=doing == "act")
            case "pass" | "stale pass":
                self.one_pass(controller, name, fresh=doing == "pass")
            case "race":  # both see the same, then both act on it
                for each in self.world.controllers:
                    self.world.look(each, name)
                for each in self.world.controllers:
                    self.one_pass(each, name, fresh=False)

    def one_pass(self, controller: Controller, name: str, *, fresh: bool) -> None:
        if fresh:
            self.world.look(controller, name)
        self.world.reconcile(controller, name)
        while self.world.act(controller):
            pass

    @precondition(lambda self: self.world.replicas)
    @rule(number=which, doing=st.sampled_from(REPLICAS_DO))
    def a_replica(self, number: int, doing: str) -> None:
        replica = self.world.replicas[number % len(self.world.replicas)]
        if doing == "die":
            self.world.die(replica)
        for _ in range({"one step": 1, "two steps": 2}.get(doing, 9)):
            if replica in self.world.replicas:
                self.world.work(replica)

    @rule(
        number=which,
        doing=st.sampled_from(OTHERS_DO),
        really=st.booleans(),
    )
    def somebody(self, number: int, doing: str, really: bool) -> None:
        if not really:
            return  # or few lives would get anywhere
        name = self.some(number)
        match doing:
            case "crash":
                self.world.crash(number % 2)
            case "suspend" | "resume":
                self.world.suspend(name, doing == "suspend")
            case "delete":
                self.world.delete(name)
            case "purge":
                self.world.purge(name)
            case "sweep":
                self.world.sweep()
            case "wait" | "wait longer":
                self.world.clock.forward(seconds=3 if doing == "wait" else 40)

    @rule(seed=st.integers(0, 2**32 - 1))
    def a_while(self, seed: int) -> None:
        """Let ten of these things happen at random. Hypothesis likes short lives with much the same in them, which are
        good to read and seldom get to where two controllers and an old attempt meet; dice get there.
        """
        dice = random.Random(seed)
        for _ in range(10):
            number, index = dice.randrange(100), dice.randrange(2)
            kind = dice.choices(("controller", "replica", "other"), (5, 3, 1))[0]
            if kind == "controller":
                self.a_controller(index, number, dice.choice(CONTROLLERS_DO), dice.random() < 0.8)
            elif kind == "replica" and self.world.replicas:
                self.a_replica(number, dice.choice(REPLICAS_DO))
            elif kind == "other":
                self.somebody(number, dice.choice(OTHERS_DO), True)
            self.steps_forward()

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
    max_examples=60,
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
    return lifecycle.decide(
        task.model_copy(update={"spec": task.spec.model_copy(update={"destination": None})}), facts, now
    )


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
    hunt = settings(LIVES, max_examples=600, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(mutant, settings=hunt)
