"""PNG: chunks walked here, samples decoded by libpng through cv2, which keeps 16 bits and refuses data that are too
few.

Palettes become RGB and sub-byte greys become 8 bit, because an anonymized region needs values between theirs; a colour
key or a grey with alpha becomes RGBA. APNG is refused: writing only its first frame would lose the others silently. Of
the ancillary chunks those in KEPT, short texts, EXIF, XMP and the ICC profile go into the output; the rest is unknown
matter.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.media import bitmaps, pngwriter
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Layout, Metadata, Picture, Samples

SIGNATURE_BYTES = 8
END = b"IEND\xaeB`\x82"
SAMPLES = (b"IDAT", b"fdAT")
KEPT = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"pHYs": 9}
"""Chunks of colours and resolution, and the bytes of each (PNG, third edition, 11.3): a longer one, or a second, holds
something else."""
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
MAX_CHUNKS = 4096
"""Beside those of samples. An empty one has 12 bytes in a file, which can hold millions, and ten times that here."""
MAX_TEXT = 1024
"""Bytes of a text chunk: an author or a copyright line fits, a base64 picture does not."""
MAX_TEXTS = 8192
"""Bytes of all text chunks of a file, so that no picture is kept in many short ones."""

REGISTERED_KEYWORDS = (
    b"Title",
    b"Author",
    b"Description",
    b"Copyright",
    b"Creation Time",
    b"Software",
    b"Disclaimer",
    b"Warning",
    b"Source",
    b"Comment",
)
"""PNG, third edition, 11.3.3.1. None is for a place."""


def dimensions(head: bytes) -> Dimensions | None:
    """Width and height from IHDR."""
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return Dimensions(*struct.unpack(">II", head[16:24]))


def truncation(head: bytes, tail: bytes, size: int) -> str | None:
    """Why the file cannot be whole, or None: it must end with an IEND chunk (bytes after it are ignored)."""
    return None if END in tail or (size <= len(head) and END in head) else "the PNG ends without its IEND chunk"


def decode(data: bytes) -> Picture:
    """The upright picture. Raises CorruptMedia, TruncatedMedia, UnsupportedMedia."""
    chunks = list(_few(_chunks(data)))
    if any(name == b"acTL" for name, _ in chunks):
        raise UnsupportedMedia("an animated PNG is not supported; send its frames as pictures or as a video")
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise CorruptMedia("the PNG does not start with its IHDR chunk")
    samples, layout = _keyed(*bitmaps.read_deep(data, "PNG"), chunks)
    exif = next((body for name, body in chunks if name == b"eXIf"), None)
    native = upright(samples, exifs.orientation_of(exif))
    height, width = native.shape[:2]
    metadata = Metadata(
        exif=exifs.cleaned(exif, width, height),
        icc=exifs.clean_icc(_profile(chunks), layout),
        xmp=exifs.clean_xmp(_xmp(chunks)),
        thumbnail=exifs.has_thumbnail(exif),
        extra=_kept(chunks),
    )
    return Picture(PNG, native, layout, metadata)


def _keyed(samples: Samples, layout: Layout, chunks: list[tuple[bytes, bytes]]) -> tuple[Samples, Layout]:
    """Grey with a colour key becomes BGRA, as cv2 does with keyed colours and palettes but not with greys."""
    key = next((body for name, body in chunks if name == b"tRNS"), None)
    if key is None or layout is not Layout.GREY or len(key) != 2:
        return samples, layout
    white, depth = int(np.iinfo(samples.dtype).max), chunks[0][1][8]
    transparent = samples == int.from_bytes(key, "big") * white // (2**depth - 1)
    alpha = np.where(transparent, 0, white).astype(samples.dtype)
    return np.asarray(cv2.merge([samples, samples, samples, alpha])), Layout.BGRA


def encode(picture: Picture, compress_level: int) -> bytes:
    """The picture as a PNG file with its metadata. ``compress_level``: 0..9."""
    metadata = picture.metadata
    parts = [metadata.extra or b""]
    if metadata.icc:
        parts.append(pngwriter.chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif:
        parts.append(pngwriter.chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        parts.append(pngwriter.chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + metadata.xmp))
    return pngwriter.write(picture.native, picture.layout, compress_level, b"".join(parts))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, body) of every chunk up to IEND, of samples without the body. Raises CorruptMedia where one is damaged."""
    position, view = SIGNATURE_BYTES, memoryview(data)
    while True:
        if position + 12 > len(data):
            raise CorruptMedia("the PNG's chunks do not lead to IEND")
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise CorruptMedia(f"a PNG chunk ({name!r}) is damaged")
        yield name, b"" if name in SAMPLES else data[position + 8 : end]
        if name == b"IEND":
            return
        position = end + 4


def _few(chunks: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Those that are not of samples. Raises CorruptMedia when there are more than a picture can need."""
    found = (chunk for chunk in chunks if chunk[0] not in SAMPLES)
    for number, chunk in enumerate(found):
        if number >= MAX_CHUNKS:
            raise CorruptMedia(f"the PNG has more than {MAX_CHUNKS} chunks beside its samples")
        yield chunk


def _kept(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """The ancillary chunks that go into the output; texts in their order as long as there is room."""
    parts, room = [], MAX_TEXTS
    wanted = dict(KEPT)
    for name, body in chunks:
        if name == b"tEXt" and len(body) <= min(MAX_TEXT, room) and not body.lower().startswith(b"raw profile"):
            room -= len(body)
            parts.append(pngwriter.chunk(name, body))
        elif wanted.get(name) == len(body):
            del wanted[name]
            parts.append(pngwriter.chunk(name, body))
    return b"".join(parts)


def without_free_texts(extra: bytes | None, unwanted: Callable[[bytes], bool]) -> bytes | None:
    """The kept chunks without texts that are unwanted, or of private keywords: ImageMagick writes EXIF into those."""
    if not extra:
        return extra
    position, parts = 0, []
    while position < len(extra):
        length, name = struct.unpack_from(">I4s", extra, position)
        body = extra[position + 8 : position + 8 + length]
        keyword, _, text = body.partition(b"\0")
        if name != b"tEXt" or (keyword in REGISTERED_KEYWORDS and not unwanted(text)):
            parts.append(extra[position : position + 12 + length])
        position += 12 + length
    return b"".join(parts)


def _profile(chunks: list[tuple[bytes, bytes]]) -> bytes | None:
    body = next((body for name, body in chunks if name == b"iCCP"), None)
    if body is None:
        return None
    try:
        return zlib.decompressobj().decompress(body[body.index(b"\0") + 2 :], exifs.MAX_ICC)
    except (ValueError, zlib.error):
        return None


def _xmp(chunks: list[tuple[bytes, bytes]]) -> bytes | None:
    for name, body in chunks:
        if name == b"iTXt" and body.startswith(XMP_KEYWORD + b"\0"):
            parts = body[len(XMP_KEYWORD) + 2 :].split(b"\0", 2)
            return parts[2] if len(parts) == 3 else None
    return None
