"""AnonymizationTask: one picture or video to make anonymous, and how.

Every default, bound and description here goes into the CRD (`velum.api.crd`) and so into `kubectl explain`.
Fractions are integers in percent, because floats in Kubernetes resources do not survive round trips.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from velum.api import rules
from velum.api.meta import API_VERSION, FINALIZER, KEEP_FILES, PURGE_FILES, Frozen, ObjectMeta
from velum.api.rules import Rule
from velum.api.status import TaskStatus

PREFIX_PATTERN = r"^[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
"""Start of object keys: relative, no control characters. What its segments may be is said by `SEGMENTS`."""

SOURCE_PATTERN = r"^[^/\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^/\x00-\x1f\x7f])?$"
"""An object key: as above, and no slash at its end, which would name a folder."""

URL_PATTERN = r"^https?://[^/?#\x00-\x20\x7f][^\x00-\x20\x7f]*$"
"""An http(s) URL with a host; spaces and control characters must be percent-encoded (RFC 3986, 2)."""

FILENAME_PATTERN = r"^[^/\x00-\x1f\x7f]+$"
"""One segment, no control characters: result keys and the Content-Disposition header are made from it."""

DNS_LABEL = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"

PANO_WIDTHS = (4096, 5400, 5640, 7060, 7680, 8000, 8192, 11000)
"""Widths of equirectangular panoramas that the contract names."""

TASKS_FOLDER = "tasks/"
"""Everything below belongs to some task and goes with it."""

Percent = Annotated[int, Field(ge=0, le=100)]

SEGMENTS = Rule("!self.matches('(^|/)([.]{1,2}(/|$)|/)')", "must not have segments that are empty, '.' or '..'")
OUTSIDE_TASKS = Rule("!self.startsWith('tasks/')", "must not be inside tasks/, which Velum keeps for itself")
ODD = Rule("self % 2 == 1", "must be odd")
ONE_SOURCE = Rule("has(self.object) != has(self.url)", "exactly one of object and url must be set")
SOME_CLASS = Rule(
    "has(self.face) || has(self.licensePlate) || has(self.person) || has(self.vehicle)",
    "at least one of face, licensePlate, person, vehicle must be set",
)
GRADIENT = Rule(
    "self.gradientStartPercent >= self.gradientStopPercent",
    "gradientStartPercent must not be smaller than gradientStopPercent",
)
PANO = Rule("(self.mode == 'pano') == has(self.panoWidth)", "panoWidth belongs to mode pano, and only there")


def _segments(value: str) -> str:
    SEGMENTS.require(re.search("(^|/)([.]{1,2}(/|$)|/)", value) is None)
    return value


def _outside_tasks(value: str) -> str:
    OUTSIDE_TASKS.require(not value.startswith(TASKS_FOLDER))
    return value


def _odd(value: int) -> int:
    ODD.require(value % 2 == 1)
    return value


def _pano_width(value: int) -> int:
    if value not in PANO_WIDTHS:
        raise ValueError(f"must be one of {', '.join(map(str, PANO_WIDTHS))}")
    return value


Kernel = Annotated[int, Field(ge=1, le=2047, json_schema_extra=rules.schema(ODD)), AfterValidator(_odd)]

SourceKey = Annotated[
    str,
    Field(min_length=1, max_length=1024, pattern=SOURCE_PATTERN, json_schema_extra=rules.schema(SEGMENTS)),
    AfterValidator(_segments),
]

Prefix = Annotated[
    str,
    Field(
        min_length=1, max_length=900, pattern=PREFIX_PATTERN, json_schema_extra=rules.schema(SEGMENTS, OUTSIDE_TASKS)
    ),
    AfterValidator(_segments),
    AfterValidator(_outside_tasks),
]

PanoWidth = Annotated[int, Field(json_schema_extra={"enum": [*PANO_WIDTHS]}), AfterValidator(_pano_width)]


class ObjectSource(Frozen):
    """An object in the input store."""

    key: SourceKey = Field(description="Key of the object in the input store.")


class Source(Frozen):
    """Where the picture or video comes from: exactly one of `object` and `url`."""

    model_config = ConfigDict(json_schema_extra=rules.schema(ONE_SOURCE))

    object: ObjectSource | None = Field(None, description="An object in the input store. It is read, never changed.")
    url: str | None = Field(
        None,
        max_length=2048,
        pattern=URL_PATTERN,
        description="An http(s) URL. Private, loopback and link-local addresses are refused by default.",
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ONE_SOURCE.require((self.object is None) != (self.url is None))
        return self


class Destination(Frozen):
    """Where results are copied to, besides the task's own folder. Never removed with the task."""

    prefix: Prefix = Field(
        description="Results go to <prefix><stem>.<ext>, <prefix><stem>.metadata.json and so on, in the output store.",
    )


class BoxedClass(Frozen):
    """How faces or licence plates are anonymized."""

    model_config = ConfigDict(json_schema_extra=rules.schema(GRADIENT))

    threshold_percent: Percent = Field(50, description="Score from which a detection counts.")
    kernel_percent: int = Field(35, ge=0, le=1000, description="Kernel size relative to the object's box.")
    gradient_start_percent: int = Field(
        30, ge=0, le=200, description="The box grown by this much is where the effect begins."
    )
    gradient_stop_percent: int = Field(
        0,
        ge=0,
        le=200,
        description="The box grown by this much is where the effect is at full strength; a face's box at least by 20.",
    )

    @model_validator(mode="after")
    def _gradient_falls(self) -> Self:
        GRADIENT.require(self.gradient_start_percent >= self.gradient_stop_percent)
        return self


class PlateClass(BoxedClass):
    """How licence plates are anonymized."""

    kernel_percent: int = Field(50, ge=0, le=1000, description="Kernel size relative to the object's box.")


class ShapedClass(Frozen):
    """How persons or vehicles are anonymized."""

    threshold_percent: Percent = Field(40, description="Score from which a detection counts.")
    kernel_pixels: Kernel = Field(61, description="Kernel size in pixels; odd.")


class PersonClass(ShapedClass):
    """How persons are anonymized."""

    kernel_pixels: Kernel = Field(91, description="Kernel size in pixels; odd.")


class Classes(Frozen):
    """The classes of objects to find. A class that is absent is left alone; at least one must be present."""

    model_config = ConfigDict(json_schema_extra=rules.schema(SOME_CLASS))

    face: BoxedClass | None = Field(None, description="Faces.")
    license_plate: PlateClass | None = Field(None, description="Licence plates.")
    person: PersonClass | None = Field(None, description="Persons.")
    vehicle: ShapedClass | None = Field(None, description="Vehicles.")

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        SOME_CLASS.require(bool(self.names()))
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
    """A rectangle in which nothing is anonymized, in pixels of the displayed picture or frame."""

    left: int = Field(ge=0, le=1_000_000, description="Left edge.")
    top: int = Field(ge=0, le=1_000_000, description="Top edge.")
    width: int = Field(ge=1, le=1_000_000, description="Width.")
    height: int = Field(ge=1, le=1_000_000, description="Height.")


class Tiling(Frozen):
    """How the picture, or each frame of the video, is cut for detection."""

    model_config = ConfigDict(json_schema_extra=rules.schema(PANO))

    mode: Literal["whole", "auto", "grid", "pano"] = Field(
        "whole",
        description="whole picture; auto by its size; a grid; an equirectangular panorama whose seam is joined.",
    )
    pano_width: PanoWidth | None = Field(None, description="Width of the panorama, for mode pano.")
    columns: int = Field(1, ge=1, le=32, description="Tiles across, for mode grid.")
    rows: int = Field(1, ge=1, le=32, description="Tiles down, for mode grid.")
    overlap_x: int = Field(0, ge=0, le=4096, description="Overlap of neighbouring tiles in pixels, across.")
    overlap_y: int = Field(0, ge=0, le=4096, description="Overlap of neighbouring tiles in pixels, down.")

    @model_validator(mode="after")
    def _pano_has_width(self) -> Self:
        PANO.require((self.mode == "pano") == (self.pano_width is not None))
        return self


class SecretReference(Frozen):
    """A Secret in the task's namespace."""

    name: str = Field(min_length=1, max_length=253, pattern=DNS_LABEL, description="Name of the Secret.")


class Webhook(Frozen):
    """Called once when the task has ended."""

    url: str = Field(max_length=2048, pattern=URL_PATTERN, description="Receives the task as JSON by POST.")
    header_secret_ref: SecretReference | None = Field(
        None, description="Secret with keys `name` and `value`: a header added to the call."
    )


class TaskSpec(Frozen):
    """What to anonymize, and how. Immutable but for `suspend`."""

    source: Source = Field(description="Where the picture or video comes from. Exactly one kind.")
    destination: Destination | None = Field(None, description="Where results are copied to as well.")
    filename: str | None = Field(
        None,
        max_length=255,
        pattern=FILENAME_PATTERN,
        description="Name shown to people and used for result files; no folders.",
    )
    model: str = Field(
        "default", min_length=1, max_length=63, pattern=DNS_LABEL, description="Name of the AnonymizationModel."
    )
    method: Literal["blur", "pixelate", "blacken", "detect"] = Field(
        "blur", description="What is done to objects; detect makes masks and metadata only."
    )
    classes: Classes = Field(description="The classes of objects to find.")
    bbox: bool = Field(False, description="Anonymize the box instead of the object's shape.")
    ignores: tuple[Ignore, ...] = Field((), max_length=128, description="Rectangles in which nothing is anonymized.")
    tiling: Tiling = Field(
        default_factory=Tiling, description="How the picture, or each frame of the video, is cut for detection."
    )
    debug: bool = Field(False, description="Draw boxes and masks on the result.")
    score: bool = Field(False, description="Print scores; only with debug.")
    quality: int = Field(
        90,
        ge=1,
        le=100,
        description="Quality of JPEG, WebP, HEIC, AVIF and videos; without effect where lossless is true.",
    )
    compress_level: int = Field(5, ge=0, le=9, description="PNG compression level; nothing to videos.")
    lossless: bool = Field(
        False,
        description="Change nothing outside the anonymized regions: a JPEG keeps every block there bit by bit. "
        "Lossy WebP, HEIC, AVIF and videos are refused.",
    )
    gps: Literal["keep", "strip"] = Field(
        "keep", description="What becomes of the place in the file's metadata (EXIF, XMP, tags and tracks of videos)."
    )
    save_mask: Literal["all", "binary", "instance", "none"] = Field(
        "all", description="Which masks are kept; videos have none."
    )
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

    @property
    def reads_foreign_upload(self) -> bool:
        """Whether the source lies in another task's folder, where somebody else's original may be."""
        source = self.spec.source.object
        return source is not None and source.key.startswith(TASKS_FOLDER) and not source.key.startswith(self.folder)

    def attempt_folder(self, attempt: int) -> str:
        """Key prefix under which this attempt writes, and no other.

        The uid is part of it: a task that was deleted and made again under the same name shares no folder with
        a straggler of its predecessor.
        """
        return f"{self.folder}attempts/{self.metadata.uid}-{attempt}/"


def task_folder(namespace: str, name: str) -> str:
    """Key prefix of a task's files."""
    return f"{TASKS_FOLDER}{namespace}/{name}/"
