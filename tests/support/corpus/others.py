"""WebP and BMP files."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image

from support.corpus import metadata as meta
from support.corpus.entry import Entry
from support.corpus.pngs import alpha, palette_of, see_through, shown_grey, shown_palette
from support.corpus.scene import HEIGHT, WIDTH, Array, scene
from velum_pipeline.errors import TooManyPixels, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.orientation import upright

LOSSY = 5.0


def webp(bgr: Array | None = None, **settings: object) -> bytes:
    """A WebP by Pillow."""
    return meta.save(scene() if bgr is None else bgr, "WEBP", **settings)


def with_chunk(coded: bytes, name: bytes, body: bytes) -> bytes:
    """An extended WebP with another chunk at its end."""
    longer = coded[8:] + name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    return coded[:4] + struct.pack("<I", len(longer)) + longer


def webps() -> Iterator[Entry]:
    """All WebP files."""
    clear = np.dstack([scene(), alpha().astype(np.uint8)])
    for name, settings, tolerance in (
        ("lossy", {"quality": 90}, LOSSY),
        ("lossless", {"lossless": True, "exact": True}, 0.0),
    ):
        own = partial(webp, **settings)
        yield Entry(f"webp {name}", own, tolerance=tolerance)
        yield Entry(
            f"webp {name} with alpha",
            partial(own, clear),
            truth=lambda: see_through(scene()),
            mode="RGBA",
            tolerance=tolerance,
        )
        for width, height in ((1, 1), (17, 1), (121, 87)):
            yield Entry(
                f"webp {name}, {width} x {height}",
                partial(own, scene(width, height)),
                truth=partial(scene, width, height),
                tolerance=tolerance,
            )
        yield Entry(
            f"webp {name} ICC, XMP",
            partial(own, icc_profile=meta.icc(), xmp=meta.PLAIN_XMP),
            icc=meta.icc(),
            rights=True,
            tolerance=tolerance,
        )
    for orientation in range(1, 9):
        stored = upright(scene(), {6: 8, 8: 6}.get(orientation, orientation))
        yield Entry(
            f"webp orientation {orientation} with thumbnail",
            partial(webp, stored, quality=90, exif=meta.exif(orientation, meta.preview())),
            camera=True,
            planted=1,
            new_thumbnail=True,
            tolerance=LOSSY,
        )
    own = partial(webp, lossless=True, xmp=meta.PLAIN_XMP)
    yield Entry(
        "webp preview in an unknown chunk", lambda: with_chunk(own(), b"PREV", meta.preview()), planted=1, rights=True
    )
    yield Entry("webp preview behind the end", lambda: own() + meta.preview(), planted=1, rights=True)
    thumb = meta.xmp_with(b"xmpGImg:image", meta.preview())
    yield Entry("webp thumbnail in XMP", lambda: webp(lossless=True, xmp=thumb), planted=1)
    yield Entry("webp animated", _animated, UnsupportedMedia, "animated")
    yield Entry("webp truncated", lambda: webp(quality=90)[:-300], TruncatedMedia, "announces")
    huge = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (2**20 - 1).to_bytes(3, "little") * 2
    yield Entry(
        "webp bomb", lambda: b"RIFF" + struct.pack("<I", 4 + len(huge)) + b"WEBP" + huge, TooManyPixels, "limit"
    )


def _animated() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.ascontiguousarray(np.roll(scene(), shift, 1))) for shift in (0, 5)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def bmp(
    rows: list[bytes],
    bits: int,
    *,
    core: bool = False,
    down: bool = False,
    compression: int = 0,
    table: bytes = b"",
    masks: bytes = b"",
) -> bytes:
    """A BMP of packed rows from top to bottom, each a multiple of four bytes."""
    body = b"".join(rows if down else rows[::-1])
    width, height = WIDTH, -HEIGHT if down else HEIGHT
    if core:
        info = struct.pack("<IHHHH", 12, width, abs(height), 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII",
            40 + (len(masks) if len(masks) == 16 else 0),
            width,
            height,
            1,
            bits,
            compression,
            len(body),
            11811,
            11811,
            0,
            0,
        )
    offset = 14 + len(info) + len(masks) + len(table)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + info + masks + table + body


def _rows(packed: Array) -> list[bytes]:
    return [row.tobytes() + bytes(-row.nbytes % 4) for row in np.ascontiguousarray(packed)]


def bmps() -> Iterator[Entry]:
    """All BMP files."""
    plain = partial(_rows, scene().reshape(HEIGHT, -1))
    yield Entry("bmp 24", lambda: bmp(plain(), 24))
    yield Entry("bmp 24 from top to bottom", lambda: bmp(plain(), 24, down=True))
    yield Entry("bmp 24, core header", lambda: bmp(plain(), 24, core=True))
    filled = np.dstack([scene(), np.zeros((HEIGHT, WIDTH), np.uint8)])
    yield Entry("bmp 32", lambda: bmp(_rows(filled.reshape(HEIGHT, -1)), 32))
    clear = np.dstack([scene(), alpha().astype(np.uint8)])
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    yield Entry(
        "bmp 32 with alpha",
        lambda: bmp(_rows(clear.reshape(HEIGHT, -1)), 32, compression=3, masks=masks),
        truth=lambda: see_through(scene()),
        mode="RGBA",
    )
    blue, green, red = (scene()[..., k].astype(np.uint16) for k in range(3))
    yield Entry(
        "bmp 16, five bits each", lambda: bmp(_rows(red >> 3 << 10 | green >> 3 << 5 | blue >> 3), 16), tolerance=8
    )
    narrow = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    yield Entry(
        "bmp 16, six bits of green",
        lambda: bmp(_rows(red >> 3 << 11 | green >> 2 << 5 | blue >> 3), 16, compression=3, masks=narrow),
        tolerance=8,
    )
    for depth in (1, 4, 8):
        for core in (False, True):
            yield Entry(
                f"bmp palette {depth}{', core header' if core else ''}",
                partial(_paletted, depth, core),
                truth=partial(shown_grey if depth == 1 else shown_palette, depth),
                mode="L" if depth == 1 else "RGB",
                tolerance=0.5,
            )
    yield Entry("bmp preview behind the end", lambda: bmp(plain(), 24) + meta.preview(), planted=1)
    yield Entry("bmp truncated", lambda: bmp(plain(), 24)[:-9], TruncatedMedia, "needs")
    yield Entry("bmp lying header", lambda: _taller(bmp(plain(), 24)), TruncatedMedia, "needs")


def _taller(coded: bytes) -> bytes:
    return coded[:22] + struct.pack("<i", 10 * HEIGHT) + coded[26:]


def _paletted(depth: int, core: bool) -> bytes:
    indices, colours = palette_of(depth)
    full = np.zeros((2**depth, 3), np.uint8)
    full[: len(colours)] = colours
    table = (
        full[:, ::-1].tobytes()
        if core
        else np.column_stack([full[:, ::-1], np.zeros(2**depth, np.uint8)]).astype(np.uint8).tobytes()
    )
    bits = (indices.reshape(HEIGHT, -1)[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return bmp(_rows(np.packbits(bits.reshape(HEIGHT, -1).astype(np.uint8), axis=1)), depth, core=core, table=table)
