"""AnonymizationTask: one picture or video to make anonymous, and how.

Every default, bound and description here goes into the CRD (`velum.api.crd`) and so into `kubectl explain`.
Fractions are integers in percent, because floats in Kubernetes resources do not survive round trips.
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from velum.api.meta import API_VERSION, FINALIZER, KEEP_FILES, PURGE_FILES, Frozen, ObjectMeta
from velum.api.status import TaskStatus

KEY_PATTERN = r"^[^/\x00-\x1f][^\x00-\x1f]*$"
"""An object key: relative, no control characters. Dot-dot segments are refused by CEL and by storage."""

DNS_LABEL = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

Percent = Annotated[int, Field(ge=0, le=100)]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


class ObjectSource(Frozen):
    """An object in the input store."""

    key: str = Field(
        min_length=1, max_length=1024, pattern=KEY_PATTERN, description="Key of the object in the input store."
    )


class Source(Frozen):
    """Where the picture or video comes from: exactly one of `object` and `url`."""

    object: ObjectSource | None = Field(None, description="An object in the input store. It is read, never changed.")
    url: str | None = Field(
        None,
        max_length=2048,
        pattern=r"^https?://",
        description="An http(s) URL. Private, loopback and link-local addresses are refused by default.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.object is None) == (self.url is None):
            raise ValueError("exactly one of object and url must be set")
        return self


class Destination(Frozen):
    """Where results are copied to, besides the task's own folder. Never removed with the task."""

    prefix: str = Field(
        min_length=1,
        max_length=900,
        pattern=KEY_PATTERN,
        description="Results go to <prefix><stem>.<ext>, <prefix><stem>.metadata.json and so on, in the output store.",
    )


class BoxedClass(Frozen):
    """How faces or licence plates are anonymized."""

    threshold_percent: Percent = Field(50, description="Score from which a detection counts.")
    kernel_percent: int = Field(35, ge=0, le=1000, description="Kernel size relative to the object's box.")
    gradient_start_percent: int = Field(
        30, ge=0, le=1000, description="The box grown by this much is where the effect begins."
    )
    gradient_stop_percent: int = Field(
        0, ge=0, le=1000, description="The box grown by this much is where the effect is at full strength."
    )


class PlateClass(BoxedClass):
    """How licence plates are anonymized."""

    kernel_percent: int = Field(50, ge=0, le=1000, description="Kernel size relative to the object's box.")


class ShapedClass(Frozen):
    """How persons or vehicles are anonymized."""

    threshold_percent: Percent = Field(40, description="Score from which a detection counts.")
    kernel_pixels: Annotated[int, AfterValidator(_odd)] = Field(
        61, ge=1, le=2047, json_schema_extra={"x-odd": True}, description="Kernel size in pixels; odd."
    )


class PersonClass(ShapedClass):
    """How persons are anonymized."""

    kernel_pixels: Annotated[int, AfterValidator(_odd)] = Field(
        91, ge=1, le=2047, json_schema_extra={"x-odd": True}, description="Kernel size in pixels; odd."
    )


class Classes(Frozen):
    """The classes of objects to find. A class that is absent is left alone; at least one must be present."""

    face: BoxedClass | None = Field(None, description="Faces.")
    license_plate: PlateClass | None = Field(None, description="Licence plates.")
    person: PersonClass | None = Field(None, description="Persons.")
    vehicle: ShapedClass | None = Field(None, description="Vehicles.")

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.names():
            raise ValueError("at least one of face, licensePlate, person, vehicle must be set")
        return self

    def names(self) -> tuple[str, ...]:
        """Return the requested classes by their REST names, in the order of the contract."""
        present = {
            "face": self.face,
            "license-plate": self.license_plate,
            "person": self.person,
            "vehicle": self.vehicle,
        }
        return tuple(name for name, value in present.items() if value is not None)


class Ignore(Frozen):
    """A rectangle in which nothing is anonymized, in pixels of the displayed picture."""

    x: int = Field(ge=0, le=1_000_000, description="Left edge.")
    y: int = Field(ge=0, le=1_000_000, description="Top edge.")
    width: int = Field(ge=1, le=1_000_000, description="Width.")
    height: int = Field(ge=1, le=1_000_000, description="Height.")


class Tiling(Frozen):
    """How the picture is cut for detection."""

    mode: Literal["whole", "auto", "grid", "pano"] = Field(
        "whole",
        description="whole picture; auto by its size; a grid; an equirectangular panorama whose seam is joined.",
    )
    pano_width: int | None = Field(None, ge=1024, le=65536, description="Width of the panorama, for mode pano.")
    columns: int = Field(1, ge=1, le=32, description="Tiles across, for mode grid.")
    rows: int = Field(1, ge=1, le=32, description="Tiles down, for mode grid.")
    overlap_x: int = Field(0, ge=0, le=4096, description="Overlap of neighbouring tiles in pixels, across.")
    overlap_y: int = Field(0, ge=0, le=4096, description="Overlap of neighbouring tiles in pixels, down.")

    @model_validator(mode="after")
    def _pano_needs_width(self) -> Self:
        if self.mode == "pano" and self.pano_width is None:
            raise ValueError("panoWidth is required for mode pano")
        return self


class SecretReference(Frozen):
    """A Secret in the task's namespace."""

    name: str = Field(min_length=1, max_length=253, pattern=DNS_LABEL, description="Name of the Secret.")


class Webhook(Frozen):
    """Called once when the task has ended."""

    url: str = Field(max_length=2048, pattern=r"^https?://", description="Receives the task as JSON by POST.")
    header_secret_ref: SecretReference | None = Field(
        None, description="Secret with keys `name` and `value`: a header added to the call."
    )


class TaskSpec(Frozen):
    """What to anonymize, and how. Immutable but for `suspend`."""

    source: Source = Field(description="Where the picture or video comes from. Exactly one kind.")
    destination: Destination | None = Field(None, description="Where results are copied to as well.")
    filename: str | None = Field(None, max_length=255, description="Name shown to people and used for result files.")
    model: str = Field(
        "default", min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of the AnonymizationModel."
    )
    method: Literal["blur", "pixelate", "blacken", "detect"] = Field(
        "blur", description="What is done to objects; detect makes masks and metadata only."
    )
    classes: Classes = Field(description="The classes of objects to find.")
    bbox: bool = Field(False, description="Anonymize the box instead of the object's shape.")
    ignores: tuple[Ignore, ...] = Field((), max_length=128, description="Rectangles in which nothing is anonymized.")
    tiling: Tiling = Field(default_factory=Tiling, description="How the picture is cut for detection.")
    debug: bool = Field(False, description="Draw boxes and masks on the anonymized picture.")
    score: bool = Field(False, description="Print scores; only with debug.")
    quality: int = Field(90, ge=1, le=100, description="JPEG and WebP quality.")
    compress_level: int = Field(5, ge=0, le=9, description="PNG compression level.")
    save_mask: Literal["all", "binary", "instance", "none"] = Field("all", description="Which masks are kept.")
    mask_scale_percent: int = Field(100, ge=1, le=100, description="Size of the masks relative to the picture.")
    watermark: bool = Field(False, description="Accepted for old clients; draws nothing.")
    webhook: Webhook | None = Field(None, description="Called when the task has ended.")
    suspend: bool = Field(False, description="Cancels a running attempt and starts none while true.")
    active_deadline_seconds: int | None = Field(
        None, ge=1, le=31_536_000, description="The task fails when it has been active for longer."
    )
    backoff_limit: int = Field(2, ge=0, le=100, description="Failed attempts that are followed by another one.")
    ttl_seconds_after_finished: int | None = Field(
        None, ge=0, le=315_360_000, description="The task and its files are removed this long after it ended."
    )


class AnonymizationTask(Frozen):
    """One picture or video to make anonymous."""

    api_version: str = API_VERSION
    kind: Literal["AnonymizationTask"] = "AnonymizationTask"
    metadata: ObjectMeta
    spec: TaskSpec
    status: TaskStatus = Field(default_factory=TaskStatus)

    @property
    def name(self) -> str:
        """The task's id."""
        return self.metadata.name

    @property
    def deleting(self) -> bool:
        """Whether deletion was asked for."""
        return self.metadata.deletion_timestamp is not None

    @property
    def has_finalizer(self) -> bool:
        """Whether the record waits for its files to be removed."""
        return FINALIZER in self.metadata.finalizers

    @property
    def keeps_files(self) -> bool:
        """Whether deletion leaves the files where they are."""
        return self.metadata.annotations.get(KEEP_FILES) == "true"

    @property
    def purges_files(self) -> bool:
        """Whether the files are to be removed while the record stays."""
        return self.metadata.annotations.get(PURGE_FILES) == "true"

    @property
    def folder(self) -> str:
        """Key prefix of everything that belongs to this task and goes with it, in both stores."""
        return task_folder(self.metadata.namespace, self.metadata.name)

    def attempt_folder(self, attempt: int) -> str:
        """Key prefix under which this attempt writes, and no other.

        The uid is part of it: a task that was deleted and made again under the same name shares no folder with
        a straggler of its predecessor.
        """
        return f"{self.folder}attempts/{self.metadata.uid}-{attempt}/"


def task_folder(namespace: str, name: str) -> str:
    """Key prefix of a task's files."""
    return f"tasks/{namespace}/{name}/"
