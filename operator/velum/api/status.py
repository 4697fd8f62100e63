"""The status of a task: conditions, counters and the published result. Written only by the controller."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from velum.api import conditions as known
from velum.api.conditions import Conditions, holds
from velum.api.meta import Frozen, Time


class Phase(StrEnum):
    """One word for people, derived from the conditions."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"
    DELETED = "Deleted"


class WebhookState(StrEnum):
    """Where the call to the task's webhook stands."""

    PENDING = "Pending"
    SENT = "Sent"
    FAILED = "Failed"


class WebhookStatus(Frozen):
    """Deliveries so far, and when the next one is due."""

    state: WebhookState = Field(WebhookState.PENDING, description="Where the call stands.")
    attempts: int = Field(0, ge=0, description="Calls made so far.")
    next_attempt_at: Time | None = Field(None, description="When the next call is due.")
    last_error: str = Field("", max_length=1024, description="Why the last call did not succeed.")


class ResultFile(Frozen):
    """One file of a result."""

    key: str = Field(max_length=2048, description="Key in the output store.")
    media_type: str = Field(max_length=127, description="Its type.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(max_length=64, description="Of its bytes, in hex.")


class FrameCount(Frozen):
    """How far the work on a video is."""

    done: int = Field(ge=0, description="Frames that are anonymised.")
    of: int = Field(ge=0, description="Frames there are.")
    kept: int = Field(0, ge=0, description="Frames that earlier attempts had finished when the last one began.")


Words = Annotated[str, Field(max_length=512)]
"""What became of one thing that the source has."""


class TaskResult(Frozen):
    """What the published attempt made."""

    attempt: int = Field(ge=1, description="The attempt that made it.")
    anonymised: ResultFile | None = Field(None, description="The picture or video; absent for method detect.")
    binary_mask: ResultFile | None = Field(None, description="0 background, 255 anonymized.")
    instance_mask: ResultFile | None = Field(None, description="Instance numbers and class bits.")
    metadata: ResultFile | None = Field(None, description="Detections as JSON; of a video, an array of its frames.")
    metadata_index: ResultFile | None = Field(
        None, description="Of a video: where each frame begins in the metadata, and where the last ends; uint64, LE."
    )
    detections: dict[str, int] = Field(
        default_factory=dict, max_length=16, description="Number of detections per class; of a video, of tracks."
    )
    frames: int | None = Field(None, ge=0, description="Of a video: the frames of the source.")
    skipped_frames: int | None = Field(
        None, ge=0, description="Of a video: frames that could not be decoded; they are not in the result."
    )
    left_out: tuple[Words, ...] = Field(
        (), max_length=64, description="Of a video: streams and data that the result does not have, in words."
    )
    converted: tuple[Words, ...] = Field(
        (), max_length=64, description="Of a video: streams that the result has in another form, in words."
    )

    def files(self) -> dict[str, ResultFile]:
        """Return the files that exist, by their role. The index is none: it is read with the metadata only."""
        roles = {
            "anonymised": self.anonymised,
            "binary-mask": self.binary_mask,
            "instance-mask": self.instance_mask,
            "metadata": self.metadata,
        }
        return {role: file for role, file in roles.items() if file is not None}


class TaskStatus(Frozen):
    """What the controller has observed."""

    phase: Phase = Field(Phase.PENDING, description="One word for people; derived from the conditions.")
    conditions: Conditions = Field((), description="The truth: Complete, Failed, Suspended.")
    observed_generation: int | None = Field(None, description="The generation of the spec last acted on.")
    media_type: str | None = Field(None, max_length=127, description="Type of the source, by its bytes.")
    progress_percent: int = Field(0, ge=0, le=100, description="How much of the work is done.")
    frames: FrameCount | None = Field(None, description="Of a video: how many frames are done.")
    estimated_finish_at: Time | None = Field(
        None, description="Of a video, while it is worked on: when that will probably end."
    )
    attempt: int = Field(0, ge=0, description="Number of the last attempt that was started; the fence.")
    failures: int = Field(0, ge=0, description="Attempts that failed and counted against backoffLimit.")
    disruptions: int = Field(
        0, ge=0, description="Attempts that broke off with the connection to their pod and did not count."
    )
    message: str = Field("", max_length=2048, description="What the task waits for or why it ended, for people.")
    reason: str = Field("", max_length=128, description="The same as one CamelCase word.")
    started_at: Time | None = Field(None, description="When the first attempt was started.")
    finished_at: Time | None = Field(None, description="When the task ended.")
    retry_at: Time | None = Field(None, description="When the next attempt may start.")
    result: TaskResult | None = Field(None, description="The published result.")
    webhook: WebhookStatus | None = Field(None, description="Deliveries of the webhook.")

    @property
    def complete(self) -> bool:
        """Whether the task ended well."""
        return holds(self.conditions, known.COMPLETE)

    @property
    def failed(self) -> bool:
        """Whether the task ended badly."""
        return holds(self.conditions, known.FAILED)

    @property
    def finished(self) -> bool:
        """Whether the task ended."""
        return self.complete or self.failed
