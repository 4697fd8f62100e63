"""What a file is, decided by its first bytes alone.

Official clients send wrong MIME types and names, so neither is looked at. Only formats that some part of Velum can work
on are known here; everything else is None and becomes a 415 at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SNIFF_BYTES = 16 * 188 + 4
"""How many bytes ``sniff`` looks at: enough for a few transport stream packets, the slowest format to tell."""


@dataclass(frozen=True)
class MediaType:
    """A format: its name, MIME type, file name extension (with the dot) and whether it holds a picture or a video."""

    name: str
    mime: str
    extension: str
    kind: Literal["image", "video"]


JPEG = MediaType("jpeg", "image/jpeg", ".jpg", "image")
PNG = MediaType("png", "image/png", ".png", "image")
WEBP = MediaType("webp", "image/webp", ".webp", "image")
TIFF = MediaType("tiff", "image/tiff", ".tif", "image")
BMP = MediaType("bmp", "image/bmp", ".bmp", "image")
HEIC = MediaType("heic", "image/heic", ".heic", "image")
AVIF = MediaType("avif", "image/avif", ".avif", "image")
MP4 = MediaType("mp4", "video/mp4", ".mp4", "video")
MOV = MediaType("mov", "video/quicktime", ".mov", "video")
MATROSKA = MediaType("mkv", "video/x-matroska", ".mkv", "video")
WEBM = MediaType("webm", "video/webm", ".webm", "video")
AVI = MediaType("avi", "video/x-msvideo", ".avi", "video")
MPEG_TS = MediaType("ts", "video/mp2t", ".ts", "video")

BRANDS = {
    HEIC: (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    AVIF: (b"avif", b"avis"),
}
"""HEIF's brands by coding (ISO/IEC 23008-12, annex B; AVIF 1.1, 8), sequences with them: the codecs refuse those by
name."""
CONTAINER_BRANDS = (b"mif1", b"mif2", b"mif3", b"msf1", b"miaf")
"""Brands that say HEIF and not how it is coded: the compatible ones beside them do."""
OTHER_PICTURE_BRANDS = (b"crx ", b"jxl ", b"jp2 ", b"avci", b"avcs", b"j2ki", b"j2is")
"""MP4's box, but neither a video nor a picture of ours: Canon's raw, JPEG XL, JPEG 2000, HEIF of other coding."""
QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""A QuickTime file from before the ftyp box starts with one of these."""
TS_PACKETS = (188, 192, 204)
"""MPEG transport stream packet sizes: plain, with a time code (m2ts), with error correction."""


def sniff(head: bytes) -> MediaType | None:
    """The media type that a file starts like, or None.

    ``head``: its first SNIFF_BYTES bytes or more, or the whole of it.
    """
    head = head[:SNIFF_BYTES]
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head[:4] in (b"II*\0", b"MM\0*"):  # BigTIFF has 43 for 42: a format of its own, which we do not read
        return TIFF
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return BMP
    return _riff(head) or _isobmff(head) or _ebml(head) or _transport_stream(head)


def _riff(head: bytes) -> MediaType | None:
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"AVI ": AVI}.get(head[8:12])
    return None


def _isobmff(head: bytes) -> MediaType | None:
    box, brand = head[4:8], head[8:12]
    if box == b"ftyp":
        return _heif(head) if _is_picture(brand) else MOV if brand == b"qt  " else MP4
    return MOV if box in QUICKTIME_ATOMS and len(head) >= 16 else None


def _is_picture(brand: bytes) -> bool:
    return brand in CONTAINER_BRANDS + OTHER_PICTURE_BRANDS or any(brand in own for own in BRANDS.values())


def _heif(head: bytes) -> MediaType | None:
    """By the major brand, else by the first compatible one that says how the picture is coded."""
    end = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(end, len(head)), 4))]
    named = (kind for brand in brands for kind, own in BRANDS.items() if brand in own)
    return None if brands[0] in OTHER_PICTURE_BRANDS else next(named, None)


def _ebml(head: bytes) -> MediaType | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return WEBM if b"webm" in head[:64] else MATROSKA if b"matroska" in head[:64] else None


def _transport_stream(head: bytes) -> MediaType | None:
    for size in TS_PACKETS:
        first = size - 188 if size == 192 else 0
        syncs = head[first : first + 4 * size : size]
        if len(syncs) == 4 and set(syncs) == {0x47}:
            return MPEG_TS
    return None
