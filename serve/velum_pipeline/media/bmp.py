"""BMP: header read here, samples decoded by Pillow, written uncompressed.

Pillow takes a 32-bit BMP for opaque unless its header names an alpha mask, as the format says. Resolution is kept;
embedded profiles are rare and are not.
"""

from __future__ import annotations

import io
import struct

import cv2

from velum_pipeline.media import bitmaps
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import BMP
from velum_pipeline.media.picture import Metadata, Picture

CORE_HEADER, INFO_HEADER = 12, 40
RESOLUTION = slice(38, 46)
UNCOMPRESSED = (0, 3, 6)
"""BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS: one row takes as many bytes as the next."""


def dimensions(head: bytes) -> Dimensions | None:
    """Width and height; a negative height means rows from top to bottom."""
    if len(head) < 26:
        return None
    kind = int.from_bytes(head[14:18], "little")
    if kind == CORE_HEADER:
        return Dimensions(*struct.unpack("<HH", head[18:22]))
    width, height = struct.unpack("<ii", head[18:26])
    return Dimensions(width, abs(height)) if kind >= INFO_HEADER else None


def truncation(head: bytes, tail: bytes, size: int) -> str | None:  # noqa: ARG001 -- one shape for all codecs
    """Why the file cannot be whole, or None: the rows of an uncompressed bitmap have a known length."""
    found = dimensions(head)
    if found is None or len(head) < 34:
        return "the BMP ends within its header" if size < 54 else None
    offset = int.from_bytes(head[10:14], "little")
    core = head[14] == CORE_HEADER
    bits = int.from_bytes(head[24:26] if core else head[28:30], "little")
    compression = 0 if core else int.from_bytes(head[30:34], "little")
    needed = offset + (found.width * bits + 31) // 32 * 4 * found.height
    if compression in UNCOMPRESSED and size < needed:
        return f"the BMP needs {needed} bytes and has {size}"
    return None


def decode(data: bytes) -> Picture:
    """The picture. Raises CorruptMedia, TruncatedMedia, UnsupportedMedia."""
    native, layout = bitmaps.read(data, "BMP")
    resolution = data[RESOLUTION] if int.from_bytes(data[14:18], "little") >= INFO_HEADER else None
    return Picture(BMP, native, layout, Metadata(extra=resolution))


def encode(picture: Picture, setting: int) -> bytes:  # noqa: ARG001 -- one shape for all codecs
    """The picture as an uncompressed BMP file."""
    if picture.layout.has_alpha:  # Pillow writes no alpha mask, without which the alpha would be ignored
        done, array = cv2.imencode(".bmp", picture.native)
        coded = bytearray(array.tobytes() if done else b"")
    else:
        buffer = io.BytesIO()
        bitmaps.to_pillow(picture.native, picture.layout).save(buffer, "BMP")
        coded = bytearray(buffer.getvalue())
    if picture.metadata.extra:
        coded[RESOLUTION] = picture.metadata.extra
    return bytes(coded)
