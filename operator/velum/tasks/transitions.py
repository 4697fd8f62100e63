"""The few ways a task's status changes, each a function from one status to the next."""

from datetime import datetime, timedelta
from typing import Literal

from velum.api import conditions as known
from velum.api.conditions import Condition, condition, set_condition
from velum.api.reasons import Reason
from velum.api.status import FrameCount, Phase, TaskStatus
from velum.api.task import AnonymizationTask
from velum.tasks.order import Manifest, Progress

MESSAGE_LENGTH = 2048
"""As the resource types allow for `status.message`: what a replica says can be a whole traceback."""


def observed(task: AnonymizationTask, status: TaskStatus) -> TaskStatus:
    """Return the status as of the task's present generation."""
    return status.model_copy(update={"observed_generation": task.metadata.generation})


def say(status: TaskStatus, phase: Phase, reason: Reason, message: str) -> TaskStatus:
    """Return the status with this phase, and why. An estimate was of what went on before."""
    changes = {"phase": phase, "reason": str(reason), "message": message[:MESSAGE_LENGTH], "estimated_finish_at": None}
    return status.model_copy(update=changes)


def progressed(status: TaskStatus, progress: Progress | None, now: datetime) -> TaskStatus:
    """Return the status of a running attempt that is so far.

    The first word tells what the source is. After that it changes with the whole percent and not otherwise: an hour of
    video costs a hundred writes, not one a second. It may fall, when a later attempt finds less done than its
    predecessor had in hand.

    An attempt that finds more finished than its predecessor found forgives one failure: what fails further on each time
    comes to an end by itself, and a day of video outlives any number of replicas.
    """
    if progress is None:
        return status
    kept = _kept(status)
    further = progress.kept > kept
    media_type = progress.media_type or status.media_type
    told = status.frames is not None and media_type == status.media_type
    if told and progress.percent == status.progress_percent and not further:
        return status
    left = progress.seconds_left
    return status.model_copy(
        update={
            "failures": max(0, status.failures - further),
            "media_type": media_type,
            "progress_percent": progress.percent,
            "frames": FrameCount(done=progress.frames, of=progress.of, kept=max(kept, progress.kept)),
            "estimated_finish_at": None if left is None else now + timedelta(seconds=left),
        }
    )


def published(status: TaskStatus, manifest: Manifest) -> TaskStatus:
    """Return the status that names what an attempt made."""
    frames = manifest.result.frames
    return status.model_copy(
        update={
            "result": manifest.result,
            "media_type": manifest.media_type,
            "progress_percent": 100,
            "frames": None if frames is None else FrameCount(done=frames, of=frames, kept=_kept(status)),
            "estimated_finish_at": None,
        }
    )


def _kept(status: TaskStatus) -> int:
    """Return how many frames earlier attempts had finished for good when the last one began."""
    return 0 if status.frames is None else status.frames.kept


def with_condition(
    task: AnonymizationTask,
    status: TaskStatus,
    kind: str,
    value: Literal["True", "False"],
    reason: Reason,
    message: str,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions with this one set, for the task's present generation."""
    generation = task.metadata.generation
    text = message[:MESSAGE_LENGTH]
    return set_condition(status.conditions, kind, value, reason, text, generation=generation, now=now)


def end(
    task: AnonymizationTask, status: TaskStatus, kind: str, reason: Reason, message: str, now: datetime
) -> TaskStatus:
    """Return the status of a task that ended now, well or badly as `kind` says (`Complete` or `Failed`)."""
    phase = Phase.COMPLETE if kind == known.COMPLETE else Phase.FAILED
    conditions = with_condition(task, status, kind, "True", reason, message, now)
    if condition(conditions, known.SUSPENDED) is not None:
        ended = status.model_copy(update={"conditions": conditions})
        conditions = with_condition(task, ended, known.SUSPENDED, "False", Reason.RESUMED, "the task has ended", now)
    return say(status, phase, reason, message).model_copy(
        update={
            "conditions": conditions,
            "finished_at": now,
            "retry_at": None,
            "observed_generation": task.metadata.generation,
        }
    )
