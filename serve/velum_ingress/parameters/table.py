"""Every query parameter of `POST /v1/file` as one row: name, type, default, meaning.

Parsing, the OpenAPI document and the page at /docs are all made from this table. Defaults are the contract's, and the
same as the resource's (a test compares them); None means: decided elsewhere, as the help says.
"""

from dataclasses import dataclass
from typing import Any

from velum_ingress.parameters.structured import FORMAT, IGNORES
from velum_ingress.parameters.values import BOOLEAN, Reader, fraction, text, url, whole, word

CLASSES = ("face", "license-plate", "person", "vehicle")
"""The contract's classes, in its order. Each is a boolean parameter."""

HEADER_NAME = "web-auth-header-name"
HEADER_VALUE = "web-auth-header-value"

GROWTH = 2
"""A box grown by twice its size is five times as wide: more is no gradient. The pipeline refuses more."""

KERNEL = 10
LARGEST_KERNEL = 2047
"""As in the resource."""


@dataclass(frozen=True)
class Parameter:
    """One parameter. `default`: in the contract's form, None when it depends on the server or on other parameters."""

    name: str
    reader: Reader
    default: Any
    help: str
    example: Any = None


def _class_rows(name: str, plural: str) -> tuple[Parameter, ...]:
    return (Parameter(name, BOOLEAN, False, f"Anonymize {plural}.", True if name == "face" else None),)


def _boxed_rows(name: str, kernel: float) -> tuple[Parameter, ...]:
    growth = fraction(GROWTH, up=True)
    return (
        Parameter(f"{name}-threshold", fraction(1, up=False), 0.5, "Score from which a detection counts."),
        Parameter(
            f"kernel-size-{name}",
            fraction(KERNEL, up=True),
            kernel,
            "Strength, relative to the object's box; never weaker than the privacy floor.",
        ),
        Parameter(
            f"{name}-anonymization-gradient-start",
            growth,
            0.3,
            "The box grown by this much is where the effect begins. Not smaller than the stop.",
        ),
        Parameter(
            f"{name}-anonymization-gradient-stop",
            growth,
            0.0,
            "The box grown by this much is where the effect is at full strength; a face's box at least by 0.2.",
        ),
    )


def _shaped_rows(name: str, kernel: int) -> tuple[Parameter, ...]:
    return (
        Parameter(f"{name}-threshold", fraction(1, up=False), 0.4, "Score from which a detection counts."),
        Parameter(
            f"kernel-size-{name}",
            whole(1, LARGEST_KERNEL, odd=True),
            kernel,
            "Strength in pixels, odd; never weaker than the privacy floor.",
        ),
    )


ROWS: tuple[Parameter, ...] = (
    Parameter(
        "method",
        word("blur", "pixelate", "blacken", "detect"),
        "blur",
        "What is done to objects. `detect` makes masks and metadata only, no picture and no video.",
    ),
    *_class_rows("face", "faces"),
    *_class_rows("license-plate", "licence plates"),
    *_class_rows("person", "persons"),
    *_class_rows("vehicle", "vehicles"),
    *_boxed_rows("face", 0.35),
    *_boxed_rows("license-plate", 0.5),
    *_shaped_rows("person", 91),
    *_shaped_rows("vehicle", 61),
    Parameter("bbox", BOOLEAN, False, "Anonymize the box instead of the object's shape."),
    Parameter(
        "ignores",
        IGNORES,
        "[]",
        "Rectangles in which nothing is anonymized, in pixels of the displayed picture.",
        '[{"topLeftX": 0, "topLeftY": 900, "width": 1920, "height": 180}]',
    ),
    Parameter(
        "format",
        FORMAT,
        None,
        "How the picture, or each frame, is cut for detection: `whole`, `auto`, `pano:8192` (a 360° "
        'panorama of that width) or tiles as JSON, `{"number":[nx,ny],"overlap":[ox,oy]}` with overlaps in pixels. '
        "Default: the server's.",
        "auto",
    ),
    Parameter("debug", BOOLEAN, False, "Draw boxes and masks on the result."),
    Parameter("score", BOOLEAN, False, "Print scores; only with `debug`."),
    Parameter(
        "quality",
        whole(0, 100),
        90,
        "Quality of JPEG, WebP, HEIC, AVIF and videos; 0 means the default. Without effect with `lossless`.",
    ),
    Parameter("compress-level", whole(0, 9), 5, "PNG compression level; nothing to videos."),
    Parameter(
        "lossless",
        BOOLEAN,
        False,
        "Change nothing outside the anonymized regions: a JPEG keeps every block there bit by bit, its tables and its "
        "orientation. Lossy WebP, HEIC, AVIF and videos are refused. Asking for another `quality` at download ends it.",
    ),
    Parameter(
        "gps",
        word("keep", "strip"),
        "keep",
        "What becomes of the place in the metadata (EXIF, XMP; of videos tags and GPS tracks): `keep` or `strip`.",
    ),
    Parameter(
        "save-mask",
        word("all", "binary", "instance", "none"),
        None,
        "Which masks are kept; videos have none. Default: the server's, usually `all`.",
    ),
    Parameter("mask-scale", whole(1, 100), 100, "Size of the masks in percent of the picture's."),
    Parameter("webhook", url(2048), None, "URL that receives the task as JSON when it has ended."),
    Parameter(
        HEADER_NAME,
        text(256),
        None,
        f"Name of a header that is added to the webhook's call; also taken as a request header. Needs {HEADER_VALUE}.",
    ),
    Parameter(
        HEADER_VALUE,
        Reader(lambda _, value: value, {"type": "string", "maxLength": 4096}),
        None,
        "Its value: a secret. Better sent as a request header, because URLs end up in logs of proxies.",
    ),
    Parameter("watermark", BOOLEAN, False, "Accepted for old clients; draws nothing."),
    Parameter("name", text(255), None, "Name shown to people. Default: the uploaded file's name."),
    Parameter(
        "model",
        text(63),
        None,
        "Name of the model that does the work; with no class at all, all that it finds. Default: the server's.",
    ),
)

BY_NAME = {row.name: row for row in ROWS}
