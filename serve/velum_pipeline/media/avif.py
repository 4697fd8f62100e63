"""AVIF: AV1 in HEIF, coded by libavif through Pillow; its container read in heif.py.

Pillow gives eight bits only, so deeper files are refused instead of made shallow. It also writes one colour description
for all files, so the input's own is put in its place: the samples are the same numbers in it, whatever its primaries. A
thumbnail in EXIF, which hardly any AVIF has, is left out.
"""

from __future__ import annotations

import io
from dataclasses import replace

from velum_pipeline.errors import StageFailed, UnsupportedMedia
from velum_pipeline.media import bitmaps, heif
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.heif import dimensions, truncation
from velum_pipeline.media.kinds import AVIF
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Encoding, Layout, Picture

__all__ = ["decode", "dimensions", "encode", "truncation"]

SPEED = 9
"""libaom's, 0..10: 0.06 s of CPU per megapixel; 6, the default, takes 0.45 s for 22 % fewer bytes and 0.5 dB."""
COLOUR_BOX = b"colrnclx"


def decode(data: bytes) -> Picture:
    """The upright picture. Raises CorruptMedia, TruncatedMedia, UnsupportedMedia."""
    still = heif.read(data, b"av01")
    if still.bits != 8:
        raise UnsupportedMedia(f"an AVIF of {still.bits} bits is not supported; save it with 8 bits, or as HEIC")
    if still.cropped:
        raise UnsupportedMedia("an AVIF that shows a part of what it holds is not supported; save the part as a file")
    samples, layout = bitmaps.read(data, "AVIF")
    native = upright(samples, still.orientation)
    height, width = native.shape[:2]
    metadata = replace(heif.metadata(still, layout, width, height), thumbnail=False)
    return Picture(AVIF, native, layout, metadata, Encoding(subsampling=still.subsampling))


def encode(picture: Picture, quality: int) -> bytes:
    """The picture as an AVIF file with its metadata. ``quality``: 1..100."""
    meta, chroma = picture.metadata, picture.encoding.subsampling
    image = bitmaps.to_pillow(picture.native, picture.layout)
    buffer = io.BytesIO()
    try:
        image.save(
            buffer,
            "AVIF",
            quality=quality,
            speed=SPEED,
            subsampling="4:0:0" if picture.layout is Layout.GREY else ":".join("420" if chroma == "400" else chroma),
            exif=exifs.without_orientation(meta.exif) or b"",
            icc_profile=meta.icc or b"",
            xmp=meta.xmp or b"",
        )
    except (ValueError, OSError) as error:
        raise StageFailed(f"the AVIF encoder failed: {error}") from None
    return _coloured(buffer.getvalue(), meta.extra)


def _coloured(coded: bytes, nclx: bytes | None) -> bytes:
    """The file with the input's primaries and transfer; the matrix and range are those that Pillow coded with."""
    at = coded.find(COLOUR_BOX)
    if nclx is None or at < 0:
        return coded
    start = at + len(COLOUR_BOX)
    return b"".join((coded[:start], nclx[:4], coded[start + 4 :]))
