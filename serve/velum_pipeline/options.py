"""What a request may ask of the pipeline: frozen values, checked when they are made.

Every value is valid or does not exist: ``__post_init__`` raises OptionError with the field's name in the contract's
spelling, so an edge can hand the text to a client as it is. Defaults are the contract's (v1, "Query parameters of POST
/v1/file").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeVar, get_args

from velum_pipeline.errors import OptionError

E = TypeVar("E", bound=StrEnum)

DEFAULT_QUALITY = 90
DEFAULT_COMPRESS_LEVEL = 5
PANO_WIDTHS = (4096, 5400, 5640, 7060, 7680, 8000, 8192, 11000)
MAX_TILES = 1024
"""More tiles than this is a request for denial of service, not for accuracy.

32 x 32 tiles of a 300 MP picture are 540 px wide.
"""
MAX_IGNORES = 1000
MAX_GRADIENT = 2.0
"""A box grown by twice its size is five times as wide; beyond that "gradient" means the whole picture."""


def _require_number(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise OptionError(name, f"must be a finite number, got {value!r}")
    if not low <= value <= high:
        raise OptionError(
            name, f"must be {f'{low:g}..{high:g}' if math.isfinite(high) else f'at least {low:g}'}, got {value!r}"
        )


def _require_int(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(name, f"must be a whole number, got {value!r}")
    if not low <= value <= high:
        raise OptionError(name, f"must be {low}..{high}, got {value}")


def _require_kernel(object_class: ObjectClass, kernel: float) -> None:
    if object_class.relative_kernel:
        return
    if kernel != int(kernel) or int(kernel) % 2 == 0:
        raise OptionError(f"kernel-size-{object_class}", f"must be an odd number of pixels, got {kernel:g}")


def _require_member(name: str, enum: type[E], value: str) -> E:
    try:
        return enum(value)
    except ValueError:
        raise OptionError(name, f"{value!r} is not one of {', '.join(enum)}") from None


class Method(StrEnum):
    """What happens inside a region."""

    BLUR = "blur"
    PIXELATE = "pixelate"
    BLACKEN = "blacken"
    DETECT = "detect"


class SaveMask(StrEnum):
    """Which masks a product carries."""

    ALL = "all"
    BINARY = "binary"
    INSTANCE = "instance"
    NONE = "none"

    @property
    def binary(self) -> bool:
        """Whether the binary mask is wanted."""
        return self in (SaveMask.ALL, SaveMask.BINARY)

    @property
    def instance(self) -> bool:
        """Whether the instance mask is wanted."""
        return self in (SaveMask.ALL, SaveMask.INSTANCE)


class Gps(StrEnum):
    """What becomes of the place that a picture's metadata names."""

    KEEP = "keep"
    STRIP = "strip"


class ObjectClass(StrEnum):
    """The kinds of objects that can be anonymized. The order is the order of detections in metadata and masks."""

    FACE = "face"
    LICENSE_PLATE = "license-plate"
    PERSON = "person"
    VEHICLE = "vehicle"

    @property
    def type_id(self) -> int:
        """The contract's numeric type in metadata."""
        return _TYPE_IDS[self]

    @property
    def mask_bit(self) -> int:
        """The contract's type bit in the blue channel of an instance mask."""
        return _MASK_BITS[self]

    @property
    def relative_kernel(self) -> bool:
        """Whether this class's kernel is relative to the box (faces, plates); else it is in pixels."""
        return self in (ObjectClass.FACE, ObjectClass.LICENSE_PLATE)


_TYPE_IDS = {
    ObjectClass.FACE: 103,
    ObjectClass.LICENSE_PLATE: 102,
    ObjectClass.PERSON: 100,
    ObjectClass.VEHICLE: 101,
}
_MASK_BITS = {
    ObjectClass.FACE: 32,
    ObjectClass.LICENSE_PLATE: 64,
    ObjectClass.PERSON: 128,
    ObjectClass.VEHICLE: 16,
}


@dataclass(frozen=True)
class ClassOptions:
    """How one class is detected and redacted.

    ``threshold`` is a score in 0..1. ``kernel`` is relative to the object's box for faces and plates, an odd number of
    pixels for persons and vehicles; it can ask for more than the privacy floor, never for less. The gradient pair is in
    fractions of the box: the box grown by ``gradient_start`` is untouched, the box grown by ``gradient_stop`` is at
    full strength, linear between.
    """

    threshold: float
    kernel: float
    gradient_start: float = 0.3
    gradient_stop: float = 0.0

    def __post_init__(self) -> None:
        _require_number("threshold", self.threshold, 0.0, 1.0)
        _require_number("kernel-size", self.kernel, 0.0, math.inf)
        _require_number("anonymization-gradient-stop", self.gradient_stop, 0.0, MAX_GRADIENT)
        _require_number("anonymization-gradient-start", self.gradient_start, 0.0, MAX_GRADIENT)
        if self.gradient_start < self.gradient_stop:
            raise OptionError("anonymization-gradient-start", "must not be smaller than anonymization-gradient-stop")

    @classmethod
    def default(cls, object_class: ObjectClass) -> ClassOptions:
        """The contract's defaults for a class."""
        return DEFAULT_CLASS_OPTIONS[object_class]


DEFAULT_CLASS_OPTIONS: Mapping[ObjectClass, ClassOptions] = MappingProxyType(
    {
        ObjectClass.FACE: ClassOptions(threshold=0.5, kernel=0.35),
        ObjectClass.LICENSE_PLATE: ClassOptions(threshold=0.5, kernel=0.5),
        ObjectClass.PERSON: ClassOptions(threshold=0.4, kernel=91),
        ObjectClass.VEHICLE: ClassOptions(threshold=0.4, kernel=61),
    }
)


@dataclass(frozen=True)
class Ignore:
    """A rectangle of the displayed picture, in pixels, inside which nothing is ever anonymized."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, value in (("topLeftX", self.x), ("topLeftY", self.y), ("width", self.width), ("height", self.height)):
            _require_int(f"ignores.{name}", value, 0, 2**31 - 1)


TilingMode = Literal["whole", "auto", "grid", "pano"]


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut for the detectors: the contract's ``format``. Overlaps are in pixels."""

    mode: TilingMode = "whole"
    pano_width: int | None = None
    columns: int = 1
    rows: int = 1
    overlap_x: int = 0
    overlap_y: int = 0

    def __post_init__(self) -> None:
        if self.mode not in get_args(TilingMode):
            raise OptionError("format", f"unknown mode {self.mode!r}; one of {', '.join(get_args(TilingMode))}")
        if (self.mode == "pano") != (self.pano_width is not None):
            raise OptionError("format", "a width belongs to mode pano, and only there")
        if self.pano_width is not None and self.pano_width not in PANO_WIDTHS:
            raise OptionError("format", f"pano:{self.pano_width} is not one of {', '.join(map(str, PANO_WIDTHS))}")
        _require_int("format.number", self.columns, 1, MAX_TILES)
        _require_int("format.number", self.rows, 1, MAX_TILES)
        if self.columns * self.rows > MAX_TILES:
            raise OptionError("format.number", f"at most {MAX_TILES} tiles")
        _require_int("format.overlap", self.overlap_x, 0, 2**31 - 1)
        _require_int("format.overlap", self.overlap_y, 0, 2**31 - 1)


@dataclass(frozen=True)
class Limits:
    """What the operator of a server allows, whatever a request says."""

    max_pixels: int = 300_000_000

    def __post_init__(self) -> None:
        _require_int("max_pixels", self.max_pixels, 1, 2**62)


@dataclass(frozen=True)
class Options:
    """One request's wishes. ``classes`` holds the requested classes and no others; it is copied and read-only.

    ``lossless``: change nothing outside the regions, so that ``quality`` does not apply to a JPEG (media/splice).
    """

    method: Method
    classes: Mapping[ObjectClass, ClassOptions]
    bbox: bool = False
    ignores: tuple[Ignore, ...] = ()
    tiling: Tiling = field(default_factory=Tiling)
    debug: bool = False
    score: bool = False
    quality: int = DEFAULT_QUALITY
    compress_level: int = DEFAULT_COMPRESS_LEVEL
    lossless: bool = False
    gps: Gps = Gps.KEEP
    save_mask: SaveMask = SaveMask.ALL
    mask_scale: int = 100
    watermark: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", _require_member("method", Method, self.method))
        object.__setattr__(self, "save_mask", _require_member("save-mask", SaveMask, self.save_mask))
        object.__setattr__(self, "gps", _require_member("gps", Gps, self.gps))
        classes = {_require_member("classes", ObjectClass, name): value for name, value in self.classes.items()}
        if not classes:
            raise OptionError("classes", f"at least one of {', '.join(ObjectClass)} must be requested")
        for object_class, value in classes.items():
            _require_kernel(object_class, value.kernel)
        object.__setattr__(self, "classes", MappingProxyType(classes))
        object.__setattr__(self, "ignores", tuple(self.ignores))
        if len(self.ignores) > MAX_IGNORES:
            raise OptionError("ignores", f"at most {MAX_IGNORES} rectangles")
        _require_int("quality", self.quality, 0, 100)
        _require_int("compress-level", self.compress_level, 0, 9)
        _require_int("mask-scale", self.mask_scale, 1, 100)

    def __reduce__(self) -> tuple[type[Options], tuple[object, ...]]:
        """Pickle by value: a mapping proxy does not pickle, and options travel between processes."""
        return Options, tuple(
            dict(self.classes) if name == "classes" else getattr(self, name) for name in self.__dataclass_fields__
        )

    @property
    def thresholds(self) -> Mapping[ObjectClass, float]:
        """The score threshold of each requested class."""
        return {object_class: value.threshold for object_class, value in self.classes.items()}
