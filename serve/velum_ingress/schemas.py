"""The contract's JSON shapes for the OpenAPI document.

Answers are built elsewhere (`velum.api.v1`, the pipeline); tests hold both together by validating real answers against
these.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Color = tuple[int, int, int]
State = Literal["queued", "processing", "done", "failed", "deleted"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Task(_Shape):
    """A task. Links are null as long as there is nothing behind them."""

    id: str
    status: State
    filename: str
    media_type: str | None = Field(description="Of the source, by its bytes; null until it was looked at.")
    progress: float = Field(ge=0, le=1)
    created_at: str | None = Field(description="RFC 3339.")
    started_at: str | None
    finished_at: str | None
    error: str | None
    parameters: dict[str, Any] = Field(description="What was accepted, in snake_case.")
    webhook_status: Literal["empty", "set", "sent", "failed"]
    anonymised_link: str | None
    binary_mask_link: str | None
    instance_mask_link: str | None
    metadata_link: str | None
    frames_done: int | None = Field(description="Of a video: frames that are done. Null for pictures, like the next.")
    frames_total: int | None = Field(description="Of a video: its frames, once they were counted.")
    skipped_frames: int | None = Field(description="Of a video: frames that could not be decoded and were left out.")
    finish_estimate: str | None = Field(description="Of a video that is worked on: when that will probably end.")
    left_out: list[str] | None = Field(description="Of a video: streams that the result does not have, in words.")
    converted: list[str] | None = Field(description="Of a video: streams that it has in another form, in words.")


class Problem(BaseModel):
    """An error. Further members: `field`, `reason`, `task`, `error_id`."""

    model_config = ConfigDict(extra="allow")

    status_code: int
    error: str
    type: str
    title: str
    status: int
    detail: str


class Detection(_Shape):
    """An object that was found. `bbox`: x1, y1, x2, y2 in pixels of the picture as displayed."""

    id: int
    parent_image: str
    offset: tuple[int, int] = Field(description="The box's upper left corner.")
    bbox: tuple[int, int, int, int]
    type: int = Field(description="100 person, 101 vehicle, 102 licence plate, 103 face.")
    type_label: str
    score: float
    is_anonymised: bool
    color: Color = Field(description="In the instance mask.")


class Metadata(_Shape):
    """What was found in a picture."""

    id: str
    filename: str
    folder: str | None
    size: tuple[int, int] = Field(description="Height and width as displayed.")
    duration: float = Field(description="Seconds of work.")
    detections: list[Detection]


class TrackedDetection(Detection):
    """An object in a frame of a video."""

    track_id: int = Field(description="The same for one object in all frames, as far as it was followed.")
    is_interpolated: bool = Field(description="Whether no detector saw it here: its place follows from other frames.")


class FrameMetadata(_Shape):
    """What was found in one frame of a video."""

    id: int = Field(description="The frame's number, from 0.")
    time: float = Field(description="When it is shown, in seconds.")
    filename: str
    folder: str | None
    size: tuple[int, int] = Field(description="Height and width as displayed.")
    duration: float = Field(description="How long it is shown, in seconds.")
    detections: list[TrackedDetection]


class Deleted(_Shape):
    """A deletion that was accepted."""

    id: str
    status: Literal["deleted"]


class DeletedMany(_Shape):
    """How many tasks a deletion met."""

    deleted: int


class Queue(_Shape):
    """Unfinished tasks, and from how many on new ones are refused."""

    unfinished: int
    limit: int


class ModelState(_Shape):
    """A model as the controller last saw it."""

    name: str
    ready: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    replicas: int
    classes: list[str]


class Running(_Shape):
    """The server takes work."""

    status: Literal["running"]
    version: str
    queue: Queue
    models: list[ModelState]


class Down(_Shape):
    """The server takes no work, and why."""

    status: Literal["down"]
    reason: str
    status_code: Literal[500]
    error: str


class Alive(_Shape):
    """The process answers."""

    status: Literal["ok"]
