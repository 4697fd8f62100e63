"""BMP: header read here, samples decoded by Pillow, written uncompressed.

Pillow takes a 32-bit BMP for opaque unless its header names an alpha mask, as the format says. Resolution is kept;
embedded profiles are rare and are not.
"""

from __future__ import annotations

import io
import struct

from velum_pipeline.media import bitmaps
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import BMP
from velum_pipeline.media.picture import Metadata, Picture

CORE_HEADER, INFO_HEADER = 12, 40
RESOLUTION = slice(38, 46)
V4_HEADER, BITFIELDS = 108, 3
ALPHA_MASKS = struct.pack("<4I4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
"""Where red, green, blue and opacity lie, and that colours are sRGB: without a mask readers take no opacity."""
GREYS = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))
BAND = 256
"""Rows that are written at once."""
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
    native, depth = picture.native, 8 * (1 if picture.native.ndim == 2 else picture.native.shape[2])
    table = GREYS if depth == 8 else b""
    row = -(-picture.width * depth // 32) * 4
    kind, compression, masks = (V4_HEADER, BITFIELDS, ALPHA_MASKS) if depth == 32 else (INFO_HEADER, 0, b"")
    offset = 14 + kind + len(table)
    info = struct.pack("<IiiHHII", kind, picture.width, picture.height, 1, depth, compression, row * picture.height)
    info += (picture.metadata.extra or bytes(8)) + struct.pack("<II", len(table) // 4, 0) + masks
    buffer = io.BytesIO()
    buffer.write(
        b"BM" + struct.pack("<IHHI", offset + row * picture.height, 0, 0, offset) + info.ljust(kind, b"\0") + table
    )
    padding = bytes(row - native[0].nbytes)
    for bottom in range(picture.height, 0, -BAND):
        band = native[max(0, bottom - BAND) : bottom][::-1]
        buffer.write(b"".join(line.tobytes() + padding for line in band))
    return buffer.getvalue()
