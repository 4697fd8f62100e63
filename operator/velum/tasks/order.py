"""What travels between the controller and a replica: a work order there, an outcome back.

A work order names one attempt. The replica writes its files under `folder` and nowhere else, the manifest last;
an attempt whose manifest exists is done, whoever is left to hear of it.
"""

from dataclasses import dataclass

from pydantic import Field

from velum.api.meta import Frozen
from velum.api.reasons import INPUT_REASONS, Reason
from velum.api.status import TaskResult
from velum.api.task import AnonymizationTask, TaskSpec

MANIFEST = "manifest.json"
"""Name of the file that ends an attempt, written after all others."""


class WorkOrder(Frozen):
    """One attempt at one task, as the replica gets it."""

    task: str
    uid: str
    attempt: int = Field(ge=1)
    folder: str
    spec: TaskSpec

    @property
    def manifest_key(self) -> str:
        """Key of the attempt's manifest in the output store."""
        return self.folder + MANIFEST


class Manifest(Frozen):
    """What an attempt made. Its existence says that every file it names is complete."""

    uid: str
    media_type: str
    result: TaskResult
    seconds: float = Field(ge=0, description="Time the pipeline took.")


@dataclass(frozen=True)
class Succeeded:
    """The attempt made a result; it counts once a status write names it."""

    manifest: Manifest


@dataclass(frozen=True)
class Failed:
    """The attempt ended without a result."""

    reason: Reason
    message: str

    @property
    def permanent(self) -> bool:
        """Whether another attempt would end the same way."""
        return self.reason in INPUT_REASONS


@dataclass(frozen=True)
class NotStarted:
    """The work order was not taken: Ray Serve is away or full. Does not count against backoffLimit."""

    message: str


Outcome = Succeeded | Failed | NotStarted


def work_order(task: AnonymizationTask, attempt: int) -> WorkOrder:
    """Return the order for this attempt at this task."""
    return WorkOrder(
        task=task.name,
        uid=task.metadata.uid,
        attempt=attempt,
        folder=task.attempt_folder(attempt),
        spec=task.spec,
    )
