"""AnonymizationModel: which packs of detectors serve tasks, on what hardware, and how far they scale."""

from typing import Literal

from pydantic import Field

from velum.api.conditions import Condition
from velum.api.meta import API_VERSION, Frozen, ObjectMeta
from velum.api.task import DNS_LABEL

ClassName = Literal["face", "license-plate", "person", "vehicle"]


class Scale(Frozen):
    """How many replicas there are, and when one is added or taken away."""

    min_replicas: int = Field(0, ge=0, le=1000, description="Replicas kept when idle; 0 frees the hardware.")
    max_replicas: int = Field(1, ge=1, le=1000, description="Most replicas at a time.")
    target_ongoing: int = Field(2, ge=1, le=1000, description="Work orders a replica should have at a time.")
    max_ongoing: int = Field(8, ge=1, le=1000, description="Work orders a replica accepts at a time.")
    idle_seconds: int = Field(300, ge=1, le=86_400, description="An idle replica is taken away after this long.")


class Batch(Frozen):
    """How pictures of different tasks are put together for the detectors."""

    max_size: int = Field(4, ge=1, le=256, description="Most pictures in one batch.")
    wait_millis: int = Field(2, ge=0, le=1000, description="How long a batch waits for more pictures.")


class ModelSpec(Frozen):
    """Which detectors, on what, how many."""

    packs: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="Names of model packs; their detectors are an ensemble per class."
    )
    classes: tuple[ClassName, ...] = Field(
        min_length=1, max_length=4, description="Classes this model serves; its packs must find each of them."
    )
    gpu_percent: int = Field(
        0, ge=0, le=800, description="Share of one GPU that a replica takes: 0 CPU only, 50 half a GPU, 200 two GPUs."
    )
    cpu_millis: int = Field(1000, ge=0, le=256_000, description="CPU that a replica takes, in thousandths of a core.")
    threads: int = Field(0, ge=0, le=256, description="Threads of a replica's detectors; 0 follows cpuMillis.")
    scale: Scale = Field(default_factory=Scale, description="How many replicas.")
    batch: Batch = Field(default_factory=Batch, description="How pictures are batched.")


class ModelStatus(Frozen):
    """What the controller has observed of the Ray Serve application."""

    conditions: tuple[Condition, ...] = Field((), description="Ready: replicas can take tasks, or start on demand.")
    observed_generation: int | None = Field(None, description="The generation of the spec last deployed.")
    replicas: int = Field(0, ge=0, description="Replicas running now.")
    message: str = Field("", max_length=2048, description="What Ray Serve last said about the application.")


class AnonymizationModel(Frozen):
    """A set of detectors that serves tasks."""

    api_version: str = API_VERSION
    kind: Literal["AnonymizationModel"] = "AnonymizationModel"
    metadata: ObjectMeta
    spec: ModelSpec
    status: ModelStatus = Field(default_factory=ModelStatus)

    @property
    def name(self) -> str:
        """The name that tasks refer to."""
        return self.metadata.name


__all__ = ["DNS_LABEL", "AnonymizationModel", "Batch", "ClassName", "ModelSpec", "ModelStatus", "Scale"]
