"""AnonymizationModel: which packs of detectors serve tasks, on what hardware, and how far they scale."""

from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from velum.api import rules
from velum.api.conditions import Conditions
from velum.api.meta import API_VERSION, Frozen, ObjectMeta
from velum.api.rules import Rule
from velum.api.task import DNS_LABEL

ClassName = Literal["face", "license-plate", "person", "vehicle"]

PackName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]

Item = TypeVar("Item")

NAME_MAX = 63
"""Longest name of a model: what fits into a task's `spec.model`."""

SET: JsonDict = {"x-kubernetes-list-type": "set"}
"""The API server refuses an element that is there twice, and server-side apply merges by element."""

SHORT_NAME = Rule(f"self.metadata.name.size() <= {NAME_MAX}", f"metadata.name must have at most {NAME_MAX} characters")
REPLICAS = Rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be larger than maxReplicas")
WHOLE_GPUS = Rule("self <= 100 || self % 100 == 0", "must be a multiple of 100 above 100: Ray shares one GPU, not two")


def _unique(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if len(set(items)) != len(items):
        raise ValueError("must not name anything twice")
    return items


def _whole_gpus(percent: int) -> int:
    WHOLE_GPUS.require(percent <= 100 or percent % 100 == 0)
    return percent


Packs = Annotated[
    tuple[PackName, ...], Field(min_length=1, max_length=16, json_schema_extra=SET), AfterValidator(_unique)
]

ServedClasses = Annotated[
    tuple[ClassName, ...], Field(min_length=1, max_length=4, json_schema_extra=SET), AfterValidator(_unique)
]

GpuPercent = Annotated[
    int, Field(ge=0, le=800, json_schema_extra=rules.schema(WHOLE_GPUS)), AfterValidator(_whole_gpus)
]


class Scale(Frozen):
    """How many replicas there are, and when one is added or taken away."""

    model_config = ConfigDict(json_schema_extra=rules.schema(REPLICAS))

    min_replicas: int = Field(0, ge=0, le=1000, description="Replicas kept when idle; 0 frees the hardware.")
    max_replicas: int = Field(1, ge=1, le=1000, description="Most replicas at a time.")
    target_ongoing: int = Field(2, ge=1, le=1000, description="Work orders a replica should have at a time.")
    max_ongoing: int = Field(8, ge=1, le=1000, description="Work orders a replica accepts at a time.")
    idle_seconds: int = Field(300, ge=1, le=86_400, description="An idle replica is taken away after this long.")

    @model_validator(mode="after")
    def _min_below_max(self) -> Self:
        REPLICAS.require(self.min_replicas <= self.max_replicas)
        return self


class Batch(Frozen):
    """How pictures of different tasks are put together for the detectors."""

    max_size: int = Field(4, ge=1, le=256, description="Most pictures in one batch.")
    wait_millis: int = Field(2, ge=0, le=1000, description="How long a batch waits for more pictures.")


class VideoDetection(Frozen):
    """How videos are looked at."""

    detect_every: int = Field(
        1,
        ge=1,
        le=10,
        description="Detectors look at every n-th frame; tracks cover the frames between, grown by what is unsure.",
    )


class ModelSpec(Frozen):
    """Which detectors, on what, how many."""

    packs: Packs = Field(description="Names of model packs; their detectors are an ensemble per class.")
    classes: ServedClasses = Field(description="Classes this model serves; its packs must find each of them.")
    gpu_percent: GpuPercent = Field(
        0, description="Share of one GPU that a replica takes: 0 CPU only, 50 half a GPU, 200 two GPUs."
    )
    cpu_millis: int = Field(1000, ge=0, le=256_000, description="CPU that a replica takes, in thousandths of a core.")
    threads: int = Field(0, ge=0, le=256, description="Threads of a replica's detectors; 0 follows cpuMillis.")
    scale: Scale = Field(default_factory=Scale, description="How many replicas.")
    batch: Batch = Field(default_factory=Batch, description="How pictures are batched.")
    video: VideoDetection = Field(default_factory=VideoDetection, description="How videos are looked at.")


class ModelStatus(Frozen):
    """What the controller has observed of the Ray Serve application."""

    conditions: Conditions = Field((), description="Ready: replicas can take tasks, or start on demand.")
    observed_generation: int | None = Field(None, description="The generation of the spec last deployed.")
    replicas: int = Field(0, ge=0, description="Replicas running now.")
    endpoint: str = Field("", max_length=2048, description="URL that its work orders go to; empty: not deployed.")
    endpoints: int | None = Field(
        None, ge=0, description="Ray pods that take requests, as KubeRay counts them; absent without KubeRay."
    )
    message: str = Field("", max_length=2048, description="What Ray Serve last said about the application.")


class AnonymizationModel(Frozen):
    """A set of detectors that serves tasks."""

    model_config = ConfigDict(json_schema_extra=rules.schema(SHORT_NAME))

    api_version: str = API_VERSION
    kind: Literal["AnonymizationModel"] = "AnonymizationModel"
    metadata: ObjectMeta
    spec: ModelSpec
    status: ModelStatus = Field(default_factory=ModelStatus)

    @model_validator(mode="after")
    def _short_name(self) -> Self:
        SHORT_NAME.require(len(self.metadata.name) <= NAME_MAX)
        return self

    @property
    def name(self) -> str:
        """The name that tasks refer to."""
        return self.metadata.name
