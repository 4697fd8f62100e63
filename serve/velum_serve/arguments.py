"""What the serving config hands to an application: `args` and `user_config` of the Ray Serve document, checked field by
field.

The controller renders them (`velum_operator.serving`) from the model and the settings; the two sides meet here only, in
JSON. An unknown field is refused: it would be a newer controller's wish that this replica cannot honour.

Any change of `args` makes Ray replace all replicas (`get_app_code_version`, ray/serve/_private/deploy_utils.py). What
only scales is in `user_config` instead, which replicas that run are told.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import PackRegistry
from velum_pipeline.video.segments import SEGMENT_FRAMES
from velum_serve.errors import ArgumentInvalid


class ReplicaArguments(BaseModel):
    """Everything that a replica of one model needs to know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1)
    packs: tuple[str, ...] = Field(min_length=1)
    classes: tuple[ObjectClass, ...] = Field(min_length=1)
    pack_folders: tuple[Path, ...] = ()
    cache: Path | None = None
    input_url: str = Field(min_length=1)
    output_url: str = Field(min_length=1)
    max_pixels: int = Field(300_000_000, gt=0)
    upload_bytes: int = Field(2 << 30, gt=0)
    source_allow_private: bool = False
    source_timeout_seconds: float = Field(300.0, gt=0)
    batch_size: int = Field(4, ge=1)
    batch_wait_seconds: float = Field(0.002, ge=0)
    threads: int = Field(0, ge=0)  # of the detectors; 0: as many as the replica was given CPUs
    detect_every: int = Field(1, ge=1)  # of so many frames of a video one is looked at
    frame_pixels: int = Field(36_000_000, gt=0)
    frame_rate: int = Field(1000, gt=0)
    codec: str = "x264"
    preset: str = ""  # empty: a fast one of the codec's
    segment_frames: int = Field(SEGMENT_FRAMES, ge=1)  # what a replica that dies may cost; the controller leaves it so
    run_frames: int = Field(0, ge=0)  # the least that a replica is asked for; 0: what is worth it; likewise

    @classmethod
    def parse(cls, args: Any) -> "ReplicaArguments":
        """Return the checked arguments. Raises ArgumentInvalid naming the field."""
        return _parsed(cls, args, "args")

    def registry(self) -> PackRegistry:
        """Return the packs as this process sees them, having checked that they find the declared classes.

        Raises:
            PackError: a folder, a pack or its weights are missing.
            ClassNotFound: the packs do not find a declared class; the text says which command gets a pack that does.
        """
        registry = PackRegistry(self.pack_folders, self.cache)
        registry.require(self.packs, self.classes)
        for name in self.packs:
            for file in registry.get(name).files:
                registry.locate(name, file)
        return registry


class ReplicaScale(BaseModel):
    """What a replica needs to know of the others. It may change while the replica runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_replicas: int = Field(1, ge=1)  # that work on one video together
    target_ongoing: int = Field(2, ge=1)  # orders a replica should have: by more of them Serve sees that one is missing

    @classmethod
    def parse(cls, scale: Any) -> "ReplicaScale":
        """Return the checked scale. Raises ArgumentInvalid naming the field."""
        return _parsed(cls, scale, "user_config")

    @property
    def offers(self) -> int:
        """How many runs of a video are offered to other replicas at a time."""
        return (self.max_replicas - 1) * self.target_ongoing


M = TypeVar("M", bound=BaseModel)


def _parsed(kind: type[M], given: Any, name: str) -> M:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ArgumentInvalid(".".join(map(str, first["loc"])) or name, first["msg"]) from error
