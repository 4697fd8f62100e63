"""What the controller knows about one task at this moment: its last known state, the jobs that run for it, and what
they came back with.

All of it may be lost at any time: a new controller starts with empty desks and finds its way by what is in the store
and in storage. A desk only makes the usual case fast.

A job's result stays here until a pass has written it into the status. A pass that could not write (a conflict, an API
server that is away) finds it again.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from velum.api.status import Phase, TaskStatus, WebhookState
from velum.api.task import AnonymizationTask
from velum.tasks.decision import Facts
from velum.tasks.order import Outcome, Progress

Job = Literal["attempt", "export", "deliver", "tidy", "remove"]


@dataclass
class Desk:
    """One task's place in the controller.

    `task` is None when nothing is left to do for it but to wait for its end of life: a million finished tasks cost
    their names. `version` is the newest resource version seen, ours or the watch's.
    """

    name: str
    uid: str
    version: str
    task: AnonymizationTask | None
    condition: str = "pending"
    model: str = ""
    jobs: dict[Job, asyncio.Task[None]] = field(default_factory=dict)
    attempt: int | None = None
    progress: Progress | None = None
    outcome: Outcome | None = None
    outcome_attempt: int = 0
    exported: bool = False
    export_error: str = ""
    delivered: str | None = None
    files_removed: bool = False
    errors: int = 0

    def facts(self) -> Facts:
        """Return what this desk contributes to a decision."""
        return Facts(
            running=self.attempt,
            progress=self.progress,
            outcome=self.outcome,
            outcome_attempt=self.outcome_attempt,
            exported=self.exported,
            export_error=self.export_error,
            delivered=self.delivered,
            files_removed=self.files_removed,
        )

    def settle(self, before: TaskStatus, after: TaskStatus) -> None:
        """Forget the results that are in the status now, or that can no longer get there.

        A result that this pass had no use for stays: after a deadline, for example, the webhook may be answered
        while the attempt is still being cancelled, and only the pass after that writes the answer down.
        """
        awaited = after.phase is Phase.RUNNING and after.attempt == self.outcome_attempt and after.result is None
        if not awaited:
            self.outcome = None
        if after != before or after.finished:
            self.exported, self.export_error = False, ""
        pending = after.webhook is not None and after.webhook.state is WebhookState.PENDING
        if not pending or after.webhook != before.webhook:
            self.delivered = None
        if after.phase is Phase.DELETED:
            self.files_removed = False

    @property
    def busy(self) -> bool:
        """Whether a job runs or its result is not written yet."""
        return bool(self.jobs) or self.outcome is not None or self.delivered is not None


def newer(version: str, known: str) -> bool:
    """Tell whether a resource version is newer than another of the same object.

    Versions are numbers in SQLite, and since Kubernetes 1.35 (KEP-5504) officially comparable numbers there too.
    What cannot be compared counts as newer: looking once too often is harmless.
    """
    if version.isdigit() and known.isdigit():
        return int(version) > int(known)
    return version != known
