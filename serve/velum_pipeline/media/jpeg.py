"""JPEG: decoded and encoded by libjpeg-turbo through simplejpeg; its segments read and written here.

Decoding is strict: a warning of the library is an error, because what follows it is a partly grey picture. Of the
application segments only three are kept, cleaned (EXIF, XMP, ICC), and the JFIF density; multi-picture entries, JFIF
thumbnails, Photoshop resources, comments, extended XMP and whatever follows the end marker (motion photos) can hold
original pixels and are left out.

Chroma subsampling is kept, so that chroma outside the regions is averaged over the same cells again and stays the same.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import simplejpeg

from velum_pipeline.errors import CorruptMedia, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import JPEG
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Encoding, Layout, Metadata, Picture, Samples

SOI, EOI, SOS, APP0, APP1, APP2, APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
END = b"\xff\xd9"
DECODED_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
"""Baseline, extended, progressive, and the last two with arithmetic coding.

The other SOF markers are lossless or hierarchical.
"""
HUFFMAN_FRAMES = DECODED_FRAMES[:3]
FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (0xC4, 0xC8, 0xCC))
EXIF_PREFIX = b"Exif\0\0"
XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
ICC_PREFIX = b"ICC_PROFILE\0"
ICC_CHUNK = 65_519
PADDING = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
"""What libjpeg says of bytes between the last scan and the end marker.

Cameras pad with zeros or ones there, after every pixel was decoded. Any other bytes are samples that a damaged scan did
not get to.
"""
SUBSAMPLINGS = ("444", "422", "420", "440", "411")


@dataclass
class _Header:
    frame: tuple[int, int, int, int, int] | None = None
    """SOF code, bits per sample, height, width, components."""
    exif: bytes | None = None
    xmp: bytes | None = None
    density: bytes | None = None
    adobe: bool = False
    pictures: bool = False
    """Whether there is a multi-picture index: then more pictures follow the first."""
    icc: dict[int, bytes] = field(default_factory=dict)
    scan: int | None = None
    """Where the first scan's header starts."""


def dimensions(head: bytes) -> Dimensions | None:
    """Stored width and height from the frame header; None when it is not within these bytes."""
    frame = _header(head).frame
    return Dimensions(frame[3], frame[2]) if frame else None


def process(head: bytes) -> int | None:
    """The marker of the frame header, which names the coding process; None when it is not within these bytes."""
    frame = _header(head).frame
    return frame[0] if frame else None


def truncation(head: bytes, tail: bytes, size: int) -> str | None:
    """Why the file cannot be whole, or None.

    Entropy-coded data never holds an end marker, so its absence at the end tells.
    """
    header = _header(head)
    if size > len(head):
        found = tail.rfind(END)  # from the end: it is nearly always there
    elif header.scan is None:
        return "the JPEG ends before its first scan"
    else:
        found = head.rfind(END, header.scan)
    motion = header.xmp is not None and (b"MotionPhoto" in header.xmp or b"MicroVideo" in header.xmp)
    if found >= 0 or (size > len(head) and (motion or header.pictures)):  # then other data follow the end marker
        return None
    return "the JPEG ends without its end marker"


def decode(data: bytes) -> Picture:
    """The upright picture. Raises TruncatedMedia, CorruptMedia, UnsupportedMedia."""
    header = _header(data)
    if header.frame is None:
        raise CorruptMedia("the JPEG has no frame header")
    code, bits, _, _, components = header.frame
    if code not in DECODED_FRAMES or bits != 8:
        raise UnsupportedMedia(f"a JPEG of process {code - 0xC0} and {bits} bit is not supported; save it as baseline")
    layout = {1: Layout.GREY, 3: Layout.BGR, 4: Layout.CMYK}.get(components)
    if layout is None:
        raise UnsupportedMedia(f"a JPEG of {components} components is not supported")
    turn = exifs.orientation_of(header.exif)
    turn = turn if 1 <= turn <= 8 else 1
    native = upright(_samples(data, layout), turn)
    if layout is Layout.CMYK and not header.adobe:
        native = 255 - native
    height, width = native.shape[:2]
    metadata = Metadata(
        exif=exifs.cleaned(header.exif, width, height),
        icc=exifs.clean_icc(b"".join(header.icc[number] for number in sorted(header.icc)), layout),
        xmp=exifs.clean_xmp(header.xmp),
        thumbnail=exifs.has_thumbnail(header.exif),
        extra=header.density,
    )
    return Picture(JPEG, native, layout, metadata, Encoding(subsampling=_subsampling(data), orientation=turn))


def encode(picture: Picture, quality: int) -> bytes:
    """The picture as a JPEG file with its metadata. ``quality``: 1..100."""
    native = np.ascontiguousarray(picture.native)
    if picture.layout is Layout.GREY:
        coded = simplejpeg.encode_jpeg(native[..., None], quality, "GRAY", "Gray")
    else:
        space = "CMYK" if picture.layout is Layout.CMYK else "BGR"
        coded = simplejpeg.encode_jpeg(native, quality, space, picture.encoding.subsampling)
    return with_segments(bytes(coded), picture.metadata)


def encode_thumbnail(pixels: Samples, quality: int) -> bytes:
    """A bare JPEG of BGR uint8 pixels."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "BGR", "420"))


def _samples(data: bytes, layout: Layout) -> Samples:
    space = {Layout.GREY: "GRAY", Layout.BGR: "BGR", Layout.CMYK: "CMYK"}[layout]
    try:
        samples = simplejpeg.decode_jpeg(data, space)
    except ValueError as error:
        reason = str(error)
        if "remature end" in reason:
            raise TruncatedMedia(f"the JPEG is truncated: {reason}") from None
        if "determine subsampling" in reason:
            raise UnsupportedMedia(
                "a JPEG of this chroma sampling is not supported; save it with 4:4:4, 4:2:2 or 4:2:0"
            ) from None
        if not _is_padding(data, reason):
            raise CorruptMedia(f"the JPEG does not decode: {reason}") from None
        samples = simplejpeg.decode_jpeg(data, space, strict=False)
    return np.asarray(samples[..., 0] if layout is Layout.GREY else samples)


def _is_padding(data: bytes, reason: str) -> bool:
    """Whether a decoder's complaint is about padding before the end marker, and nothing else."""
    found, scan = PADDING.search(reason), _header(data).scan
    if found is None or scan is None:
        return False
    before = data[scan : data.find(END, scan)].rstrip(b"\xff")  # libjpeg does not count these
    return not before[max(0, len(before) - int(found[1])) :].strip(b"\0\xff")


def _subsampling(data: bytes) -> str:
    name = str(simplejpeg.decode_jpeg_header(data, strict=False)[3])
    return name if name in SUBSAMPLINGS else "420"


def _header(data: bytes) -> _Header:
    header = _Header()
    for code, start, end in _segments(data):
        body = data[start:end]
        if code in FRAMES and header.frame is None and len(body) >= 6:
            header.frame = (code, *struct.unpack(">BHHB", body[:6]))
        elif code == SOS:
            header.scan = start
        elif code == APP0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            header.density = body[7:12]
        elif code == APP1 and body.startswith(EXIF_PREFIX) and header.exif is None:
            header.exif = body[len(EXIF_PREFIX) :]
        elif code == APP1 and body.startswith(XMP_PREFIX) and header.xmp is None:
            header.xmp = body[len(XMP_PREFIX) :]
        elif code == APP2 and body.startswith(ICC_PREFIX) and len(body) > 14:
            header.icc.setdefault(body[12], body[14:])
        elif code == APP2 and body.startswith(b"MPF\0"):
            header.pictures = True
        elif code == APP14 and body.startswith(b"Adobe"):
            header.adobe = True
    return header


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, body start, body end) of every whole segment up to and including the first scan's header."""
    position, end = 2, len(data)
    while position + 4 <= end and data[position] == 0xFF:
        code = data[position + 1]
        if code == 0xFF:
            position += 1
            continue
        if code == 0x01 or 0xD0 <= code <= SOI:
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if code == EOI or length < 2 or position + 2 + length > end:
            return
        yield code, position + 4, position + 2 + length
        if code == SOS:
            return
        position += 2 + length


def with_segments(coded: bytes, metadata: Metadata) -> bytes:
    """Put the metadata between a bare file's JFIF (or Adobe) segment and the rest, which is copied at most once."""
    start, first = 2, coded[:2]
    if coded[2:4] == b"\xff\xe0":
        start = 4 + int.from_bytes(coded[4:6], "big")
        first = coded[:start]
        if metadata.extra is not None:
            first = first[:13] + metadata.extra + first[18:]
    parts = [first]
    if metadata.exif and len(metadata.exif) <= exifs.MAX_SEGMENT:
        parts.append(_segment(APP1, EXIF_PREFIX + metadata.exif))
    if metadata.xmp and len(metadata.xmp) <= exifs.MAX_SEGMENT:
        parts.append(_segment(APP1, XMP_PREFIX + metadata.xmp))
    if metadata.icc:
        chunks = [metadata.icc[at : at + ICC_CHUNK] for at in range(0, len(metadata.icc), ICC_CHUNK)]
        parts += [
            _segment(APP2, ICC_PREFIX + bytes((number, len(chunks))) + chunk) for number, chunk in enumerate(chunks, 1)
        ]
    if len(parts) == 1 and coded.startswith(first):
        return coded
    return b"".join((*parts, memoryview(coded)[start:]))


def _segment(code: int, body: bytes) -> bytes:
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body
