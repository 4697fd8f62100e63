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
    """One attempt at one task, as the replica gets it.

    folder: key prefix of what this attempt makes. work: key prefix of what the task's attempts at a video share, so
    that a later one need not do again what an earlier one had finished.
    """

    task: str
    uid: str
    attempt: int = Field(ge=1)
    folder: str = Field(min_length=1, pattern="/$")
    work: str = Field(min_length=1, pattern="/$")
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
    """The attempt ended without a result.

    broke_off: nobody said so, but the connection to who had the work broke. That is so when the work kills its pod, and
    when a pod dies that many others' work goes through.
    """

    reason: Reason
    message: str
    broke_off: bool = False

    @property
    def permanent(self) -> bool:
        """Whether another attempt would end the same way."""
        return self.reason in INPUT_REASONS


@dataclass(frozen=True)
class NotStarted:
    """The work order was not taken: Ray Serve is away or full. Does not count against backoffLimit."""

    message: str


@dataclass(frozen=True)
class Progress:
    """How far an attempt at a video is: frames that are done, of how many, and for how long it will probably go on.

    seconds_left: None where nothing is done yet that would tell. kept: frames that earlier attempts had finished for
    good when this one began. media_type: of the source, by its bytes; None where the replica does not tell it.
    """

    frames: int
    of: int
    seconds_left: float | None
    kept: int = 0
    media_type: str | None = None

    @property
    def percent(self) -> int:
        """The whole percent that is done. 99 at most: all of it is done when the result is published."""
        return min(99, 100 * self.frames // max(1, self.of))


Outcome = Succeeded | Failed | NotStarted


def work_folder(task: AnonymizationTask) -> str:
    """Return the key prefix, in the output store, of what attempts at a video leave for each other.

    As in an attempt's folder the uid is part of it: a task that was made again under the same name finds nothing of its
    predecessor's.
    """
    return f"{task.folder}work/{task.metadata.uid}/"


def work_order(task: AnonymizationTask, attempt: int) -> WorkOrder:
    """Return the order for this attempt at this task."""
    return WorkOrder(
        task=task.name,
        uid=task.metadata.uid,
        attempt=attempt,
        folder=task.attempt_folder(attempt),
        work=work_folder(task),
        spec=task.spec,
    )
