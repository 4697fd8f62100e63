"""EXIF, XMP and ICC as cameras and editors write them, and the places where they hide copies of a picture.

Written with struct, not with the pipeline's own reader and writer of directories, which these test.
"""

from __future__ import annotations

import base64
import io
import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from support.corpus.scene import Array, scene

MAKER = b"Velum Cameras\0"
LATITUDE = (52, 1, 31, 1, 1234567, 54321)
XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:rights="Ada"%s</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
PLAIN_XMP = XMP % b"/>"
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 13: 4}


@cache
def preview(form: str = "JPEG", scale: float = 0.75) -> bytes:
    """A small copy of the original, as cameras embed it: with the face."""
    small = cv2.resize(scene(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return save(small, form)


def save(bgr: Array, form: str, mode: str | None = None, **settings: Any) -> bytes:
    """A file by Pillow, of BGR(A) or grey samples."""
    turned = bgr if bgr.ndim == 2 else bgr[..., [2, 1, 0, *range(3, bgr.shape[2])]]
    image = Image.fromarray(np.ascontiguousarray(turned))
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, form, **settings)
    return buffer.getvalue()


def directory(entries: dict[int, tuple[int, bytes]], order: str, at: int, following: int = 0) -> bytes:
    """An IFD at an offset of its block: {tag: (type, raw value)}; long values come behind it."""
    tags = sorted(entries)
    start = at + 2 + 12 * len(tags) + 4
    head, tail = struct.pack(order + "H", len(tags)), b""
    for tag in tags:
        kind, raw = entries[tag]
        place = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "I", start + len(tail))
        tail += raw + b"\0" * (len(raw) % 2) if len(raw) > 4 else b""
        head += struct.pack(order + "HHI", tag, kind, len(raw) // SIZES[kind]) + place
    return head + struct.pack(order + "I", following) + tail


def exif(
    orientation: int = 1,
    thumbnail: bytes | None = None,
    order: str = "<",
    more: dict[int, tuple[int, bytes]] | None = None,
    details: dict[int, tuple[int, bytes]] | None = None,
) -> bytes:
    """A block with a maker, a date, a position and, on request, a thumbnail and further fields."""

    def long(value: int) -> tuple[int, bytes]:
        return 4, struct.pack(order + "I", value)

    main: dict[int, tuple[int, bytes]] = {0x010F: (2, MAKER), 0x0112: (3, struct.pack(order + "H", orientation))}
    main |= more or {}
    own = {0x9003: (2, b"2024:01:02 03:04:05\0"), 0xA002: long(1), 0xA003: long(1)} | (details or {})
    gps = {1: (2, b"N\0"), 2: (5, struct.pack(order + "6I", *LATITUDE))}
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    main |= {0x8769: long(0), 0x8825: long(0)}
    at_details = 8 + len(directory(main, order, 8))
    at_gps = at_details + len(directory(own, order, at_details))
    at_second = at_gps + len(directory(gps, order, at_gps))
    main |= {0x8769: long(at_details), 0x8825: long(at_gps)}
    parts = [
        header,
        directory(main, order, 8, at_second if thumbnail else 0),
        directory(own, order, at_details),
        directory(gps, order, at_gps),
    ]
    if thumbnail:
        second = {0x0103: (3, struct.pack(order + "H", 6)), 0x0201: long(0), 0x0202: long(len(thumbnail))}
        second[0x0201] = long(at_second + len(directory(second, order, at_second)))
        parts += [directory(second, order, at_second), thumbnail]
    return b"".join(parts)


def xmp_with(property_: bytes, body: bytes, lines: bytes = b"") -> bytes:
    """A packet with a picture in base64 as an element, its lines broken as asked."""
    text = base64.b64encode(body)
    broken = lines.join(text[at : at + 76] for at in range(0, len(text), 76))
    return XMP % (b"><" + property_ + b">" + broken + b"</" + property_ + b"></rdf:Description>")


@cache
def icc(space: str = "RGB") -> bytes:
    """A profile: sRGB as LittleCMS makes it, or one that says another colour space."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[16:20] = {"RGB": b"RGB ", "GRAY": b"GRAY", "CMYK": b"CMYK"}[space]
    return bytes(made)
