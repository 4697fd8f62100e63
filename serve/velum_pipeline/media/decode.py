"""From a file's bytes to an upright Picture, and back. The codecs' one door.

Order matters: type by bytes, then structure (truncated?), then the header's size against the limit, and only then a
decoder. What a decoder returns must have the size that the header announced; what an encoder returns must again be a
file of that type and size.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import cv2

from velum_pipeline.errors import (
    CorruptMedia,
    EmptyMedia,
    OptionError,
    StageFailed,
    TooManyPixels,
    TruncatedMedia,
    UnsupportedMedia,
)
from velum_pipeline.media import avif, bmp, heic, jpeg, png, splice, tiff, webp
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import AVIF, BMP, HEIC, JPEG, PNG, TIFF, WEBP, MediaType, sniff
from velum_pipeline.media.lossless import obstacle as lossless_obstacle
from velum_pipeline.media.picture import Metadata, Picture, over_grey, to_bgr8
from velum_pipeline.media.splice.stored import QUARTER_TURNS, stored
from velum_pipeline.options import DEFAULT_COMPRESS_LEVEL, DEFAULT_QUALITY, Limits

CODECS: dict[MediaType, ModuleType] = {
    JPEG: jpeg,
    PNG: png,
    WEBP: webp,
    TIFF: tiff,
    BMP: bmp,
    HEIC: heic,
    AVIF: avif,
}
TAIL_BYTES = 64 * 2**10
"""How much of a file's end ``truncation`` looks at."""
THUMBNAIL_SIDE = 160
"""Pixels of the longer side: what DCF cameras write (160 x 120)."""
THUMBNAIL_QUALITY = 75
MAX_SIDE = 2**20
"""Pixels; the widest row that every codec can take."""


def probe(head: bytes) -> Dimensions | None:
    """The stored size of a picture from its first bytes; None when they do not hold it or are no picture."""
    media_type = sniff(head)
    codec = CODECS.get(media_type) if media_type else None
    found: Dimensions | None = codec.dimensions(head) if codec else None
    return found


def truncation(media_type: MediaType, head: bytes, tail: bytes, size: int) -> str | None:
    """Why a file of this type cannot be whole, or None when nothing cheap shows it.

    head: its first bytes (a MiB is ample). tail: its last 64 KiB. size: its length. Where the whole file is short, head
    and tail may overlap.
    """
    codec = CODECS.get(media_type)
    reason: str | None = codec.truncation(head, tail, size) if codec else None
    return reason


def decode(data: bytes, limits: Limits, *, lossless: bool = False) -> Picture:
    """The picture, upright, with cleaned metadata. Raises MediaError.

    lossless: keep what encoding needs to change nothing but patches. Raises OptionError where that cannot be.
    """
    if not data:
        raise EmptyMedia("the file is empty")
    media_type = sniff(data)
    if media_type is None:
        raise UnsupportedMedia("the bytes are no JPEG, PNG, WebP, classic TIFF, BMP, HEIC or AVIF picture")
    if media_type not in CODECS:
        raise UnsupportedMedia(f"{media_type.mime} is not a picture")
    reason = truncation(media_type, data, data[-TAIL_BYTES:], len(data))
    if reason:
        raise TruncatedMedia(reason)
    announced = probe(data)
    if announced is None:
        raise CorruptMedia(f"the {media_type.name} header announces no size")
    _check_size(announced, limits)
    obstacle = lossless_obstacle(media_type, data) if lossless else None
    if obstacle:
        raise OptionError("lossless", obstacle)
    picture: Picture = CODECS[media_type].decode(data)
    if {picture.width, picture.height} != {announced.width, announced.height}:
        held = f"{picture.width} x {picture.height}"
        raise CorruptMedia(f"the header announces {announced.width} x {announced.height}, the data hold {held}")
    if lossless and media_type == JPEG:
        splice.keep(picture, data)
    picture.exact = lossless
    return picture


def encode(
    picture: Picture,
    *,
    quality: int = DEFAULT_QUALITY,
    compress_level: int = DEFAULT_COMPRESS_LEVEL,
    patches: Sequence[splice.Patch] = (),
) -> bytes:
    """The picture as a file of its own type, with its metadata and a new thumbnail where it had one.

    quality: 1..100 for JPEG, lossy WebP, HEIC and AVIF, 0 for the default. compress_level: 0..9 for PNG and deflated
    TIFF. patches: the pixels that changed, all that is coded anew of a JPEG decoded as lossless. Raises StageFailed
    when the result is not a file of that type and size.
    """
    if picture.metadata.thumbnail:
        _renew_thumbnail(picture)
    setting = compress_level if picture.media_type in (PNG, TIFF) else quality or DEFAULT_QUALITY
    coded: bytes = (
        CODECS[picture.media_type].encode(picture, setting)
        if picture.source is None
        else splice.encode(picture, patches)
    )
    size = Dimensions(picture.width, picture.height)
    if picture.source is not None and picture.encoding.orientation >= QUARTER_TURNS:
        size = Dimensions(picture.height, picture.width)
    right = sniff(coded) == picture.media_type and probe(coded) == size
    if not right or truncation(picture.media_type, coded, coded[-TAIL_BYTES:], len(coded)):
        raise StageFailed(f"the {picture.media_type.name} encoder wrote something else than the picture")
    return coded


def reencode(data: bytes, *, quality: int | None = None, compress_level: int | None = None) -> bytes:
    """A file of ours again, at another quality or compression level, metadata kept. Raises MediaError."""
    return encode(
        decode(data, Limits(max_pixels=MAX_SIDE**2)),
        quality=quality or DEFAULT_QUALITY,
        compress_level=DEFAULT_COMPRESS_LEVEL if compress_level is None else compress_level,
    )


def _check_size(announced: Dimensions, limits: Limits) -> None:
    if not (0 < announced.width <= MAX_SIDE and 0 < announced.height <= MAX_SIDE):
        raise CorruptMedia(f"the header announces {announced.width} x {announced.height} pixels")
    if announced.pixels > limits.max_pixels:
        raise TooManyPixels(
            f"{announced.width} x {announced.height} = {announced.pixels} pixels; the limit is {limits.max_pixels}"
        )


def _renew_thumbnail(picture: Picture) -> None:
    """Replace the thumbnail of the EXIF block by one of the picture as it is now."""
    scale = min(1.0, THUMBNAIL_SIDE / max(picture.width, picture.height))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    native = cv2.resize(picture.native, size, interpolation=cv2.INTER_AREA)
    small = to_bgr8(native, picture.layout)
    if picture.layout.has_alpha:  # a JPEG has none, and would show what it hides
        small = over_grey(small, native[..., 3])
    if picture.source is not None:  # it is turned as the picture is
        small = stored(small, picture.encoding.orientation)
    old = picture.metadata
    exif = exifs.with_thumbnail(old.exif, jpeg.encode_thumbnail(small, THUMBNAIL_QUALITY))
    picture.metadata = Metadata(exif, old.icc, old.xmp, True, old.extra)
