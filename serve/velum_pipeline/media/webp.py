"""WebP: the RIFF container walked here, samples decoded by libwebp through cv2 and encoded through Pillow.

A lossless file stays lossless, with the colours under transparent pixels kept (``exact``). Animations are refused.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from velum_pipeline.errors import CorruptMedia, StageFailed, UnsupportedMedia
from velum_pipeline.media import bitmaps
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import WEBP
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Encoding, Metadata, Picture

FIRST_CHUNK = 12
ANIMATION_FLAG = 0x02
LOSSLESS_EFFORT = 50
"""libwebp's quality is effort here; half of it costs a third of the time for 1 to 2 % more bytes."""
METHOD = 2
"""Speed against size, 0..6: half the time of the default 4 for a few percent more bytes; a service waits on this."""


def dimensions(head: bytes) -> Dimensions | None:
    """Width and height from the first chunk (WebP container specification; RFC 6386, 9.1, for VP8)."""
    name, body = head[12:16], head[20:30]
    if len(body) < 10:
        return None
    if name == b"VP8X":
        return Dimensions(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if name == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return Dimensions(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if name == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return Dimensions(width & 0x3FFF, height & 0x3FFF)
    return None


def lossless(head: bytes) -> bool | None:
    """Whether the samples are coded without loss; None when their chunk does not begin within these bytes."""
    position = FIRST_CHUNK
    while position + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, position)
        if name in (b"VP8L", b"VP8 "):
            return bool(name == b"VP8L")
        position += 8 + length + length % 2
    return None


def truncation(head: bytes, tail: bytes, size: int) -> str | None:  # noqa: ARG001 -- one shape for all codecs
    """Why the file cannot be whole, or None: RIFF announces its length."""
    announced = int.from_bytes(head[4:8], "little") + 8
    if size < max(announced, FIRST_CHUNK + 8):
        return f"the WebP announces {announced} bytes and has {size}"
    return None


def decode(data: bytes) -> Picture:
    """The upright picture. Raises CorruptMedia, UnsupportedMedia."""
    chunks = dict(_chunks(data))
    if (chunks.get(b"VP8X", b"\0")[:1] and chunks.get(b"VP8X", b"\0")[0] & ANIMATION_FLAG) or b"ANIM" in chunks:
        raise UnsupportedMedia("an animated WebP is not supported; send its frames as pictures or as a video")
    samples, layout = bitmaps.read_deep(data, "WEBP")
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0") or None
    native = upright(samples, exifs.orientation_of(exif))
    height, width = native.shape[:2]
    metadata = Metadata(
        exif=exifs.cleaned(exif, width, height),
        icc=exifs.clean_icc(chunks.get(b"ICCP"), layout),
        xmp=exifs.clean_xmp(chunks.get(b"XMP ")),
        thumbnail=exifs.has_thumbnail(exif),
    )
    return Picture(WEBP, native, layout, metadata, Encoding(lossless=b"VP8L" in chunks))


def encode(picture: Picture, quality: int) -> bytes:
    """The picture as a WebP file with its metadata. ``quality``: 1..100, for lossy files."""
    lossless = picture.encoding.lossless
    buffer = io.BytesIO()
    try:
        bitmaps.to_pillow(picture.native, picture.layout).save(
            buffer,
            "WEBP",
            lossless=lossless,
            exact=lossless,
            quality=LOSSLESS_EFFORT if lossless else quality,
            method=METHOD,
            exif=picture.metadata.exif or b"",
            icc_profile=picture.metadata.icc or b"",
            xmp=picture.metadata.xmp or b"",
        )
    except (ValueError, OSError) as error:  # 6: the modes of very many noisy blocks exceed VP8's first partition
        raise StageFailed(f"the WebP encoder failed: {error}") from None
    return buffer.getvalue()


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = FIRST_CHUNK
    end = min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while position + 8 <= end:
        name, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise CorruptMedia(f"a WebP chunk ({name!r}) reaches past the end")
        yield name, data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
