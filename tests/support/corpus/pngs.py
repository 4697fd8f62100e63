"""PNG files of every colour type and depth, plain and interlaced, written chunk by chunk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image

from support.corpus import metadata as meta
from support.corpus.entry import Entry
from support.corpus.scene import HEIGHT, WIDTH, Array, scene
from velum_pipeline.errors import CorruptMedia, TooManyPixels, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.orientation import upright

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: first column, first row, columns apart, rows apart."""
ANCILLARY = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"sRGB": b"\0",
    b"pHYs": struct.pack(">IIB", 11811, 11811, 1),
    b"tEXt": b"Author\0Ada",
}


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    samples: Array,
    colour: int,
    depth: int,
    *before: bytes,
    interlaced: bool = False,
    idat: int = 1 << 30,
    after: bytes = b"",
) -> bytes:
    """A file of samples (H, W, channels) below 2**depth. before: chunks ahead of the data; idat: bytes of each."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    passes = [samples[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [samples]
    raw = zlib.compress(b"".join(_rows(part, depth) for part in passes if part.size))
    data = b"".join(chunk(b"IDAT", raw[at : at + idat]) for at in range(0, len(raw), idat))
    return b"".join((SIGNATURE, chunk(b"IHDR", header), *before, data, after, chunk(b"IEND", b"")))


def _rows(samples: Array, depth: int) -> bytes:
    rows = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(rows.shape[0], -1)
    elif depth == 8:
        packed = rows.astype(np.uint8)
    else:
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(rows.shape[0], -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def grey(depth: int = 8) -> Array:
    """The scene in grey at a depth, (H, W, 1) uint16."""
    values = cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY).astype(np.float64) / 255
    return np.round(values * (2**depth - 1)).astype(np.uint16)[..., None]


def shown_grey(depth: int = 8) -> Array:
    """What it looks like, uint8."""
    return np.round(grey(depth)[..., 0] * (255 / (2**depth - 1))).astype(np.uint8)


def colours(depth: int = 8) -> Array:
    """The scene as RGB at 8 or 16 bits."""
    return scene()[..., ::-1].astype(np.uint16) * (257 if depth == 16 else 1)


def alpha(depth: int = 8) -> Array:
    """An opacity (H, W, 1): opaque but for a corner and a soft edge."""
    values = np.full((HEIGHT, WIDTH, 1), 255, np.uint16)
    values[:20, :20] = 0
    values[-10:] = 128
    return values * (257 if depth == 16 else 1)


def palette_of(depth: int) -> tuple[Array, Array]:
    """The scene by indices (H, W, 1) into a palette (N, 3) of at most 2**depth colours, RGB."""
    count = 2**depth
    if count <= 16:  # greys: the face must stay black and white
        table = np.repeat(np.round(np.linspace(0, 255, count)).astype(np.uint8)[:, None], 3, axis=1)
        return grey(depth), table
    image = Image.fromarray(np.ascontiguousarray(scene()[..., ::-1])).quantize(count)
    table = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    return np.asarray(image).astype(np.uint16)[..., None], table


def paletted(depth: int, transparent: bytes = b"", interlaced: bool = False) -> bytes:
    """A palette file, with a tRNS chunk on request."""
    indices, table = palette_of(depth)
    chunks = [chunk(b"PLTE", table.tobytes())] + ([chunk(b"tRNS", transparent)] if transparent else [])
    return png(indices, PALETTE, depth, *chunks, interlaced=interlaced)


def shown_palette(depth: int) -> Array:
    """What a palette file looks like, BGR."""
    indices, table = palette_of(depth)
    return np.ascontiguousarray(table[indices[..., 0]][..., ::-1])


def see_through(bgr: Array, depth: int = 8) -> Array:
    """BGRA truth: with the opacity of ``alpha``."""
    own = bgr if bgr.ndim == 3 else np.repeat(bgr[..., None], 3, axis=2)
    return np.dstack([own, (alpha(depth) // (257 if depth == 16 else 1)).astype(np.uint8)])


def keyed(colour: int, depth: int) -> bytes:
    """A file whose upper left corner has the colour that is declared transparent."""
    samples = (colours(depth) if colour == RGB else grey(depth)).copy()
    key = [1 if depth > 1 else 0] * samples.shape[2]
    samples[:20, :20] = key
    return png(samples, colour, depth, chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))


def entries() -> Iterator[Entry]:
    """All of them."""
    yield from _depths()
    yield from _surrounded()
    yield from _hiding()
    yield from _refused()


def _depths() -> Iterator[Entry]:
    for interlaced in (False, True):
        suffix = ", interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8, 16):
            yield Entry(
                f"png grey {depth}{suffix}",
                partial(lambda d, i: png(grey(d), GREY, d, interlaced=i), depth, interlaced),
                truth=partial(shown_grey, depth),
                mode="I;16" if depth == 16 else "L",
                bits=max(8, depth),
                tolerance=0.6,
            )
        for depth in (8, 16):
            yield Entry(
                f"png RGB {depth}{suffix}",
                partial(lambda d, i: png(colours(d), RGB, d, interlaced=i), depth, interlaced),
                bits=depth,
            )
            yield Entry(
                f"png RGBA {depth}{suffix}",
                partial(lambda d, i: png(np.dstack([colours(d), alpha(d)]), RGBA, d, interlaced=i), depth, interlaced),
                truth=lambda: see_through(scene()),
                mode="RGBA",
                bits=depth,
            )
            yield Entry(
                f"png grey with alpha {depth}{suffix}",
                partial(
                    lambda d, i: png(np.dstack([grey(d), alpha(d)]), GREY_ALPHA, d, interlaced=i), depth, interlaced
                ),
                truth=lambda: see_through(shown_grey()),
                mode="RGBA",
                bits=depth,
                tolerance=0.6,
            )
        for depth in (1, 2, 4, 8):
            yield Entry(
                f"png palette {depth}{suffix}",
                partial(paletted, depth, b"", interlaced),
                truth=partial(shown_palette, depth),
            )
    for depth in (1, 4, 8):
        yield Entry(
            f"png palette {depth} with opacities",
            partial(paletted, depth, b"\xff\x80"[: 2**depth]),
            truth=partial(_palette_alpha, depth),
            mode="RGBA",
        )
    for colour, depths in ((GREY, (2, 4, 8, 16)), (RGB, (8, 16))):
        for depth in depths:
            yield Entry(
                f"png {'grey' if colour == GREY else 'RGB'} {depth} with a colour key",
                partial(keyed, colour, depth),
                truth=partial(_keyed_truth, colour, depth),
                mode="RGBA",
                bits=max(8, depth),
                tolerance=0.6,
            )
    for width, height in ((1, 1), (1, 9), (17, 1), (121, 87)):
        own = partial(scene, width, height)
        yield Entry(f"png {width} x {height}", partial(lambda o: png(o()[..., ::-1], RGB, 8), own), truth=own)
        yield Entry(
            f"png {width} x {height}, interlaced",
            partial(lambda o: png(o()[..., ::-1], RGB, 8, interlaced=True), own),
            truth=own,
        )


def _palette_alpha(depth: int) -> Array:
    indices, _ = palette_of(depth)
    return np.dstack([shown_palette(depth), np.where(indices[..., 0] == 1, 128, 255).astype(np.uint8)])


def _keyed_truth(colour: int, depth: int) -> Array:
    shown = (scene() if colour == RGB else np.repeat(shown_grey(depth)[..., None], 3, axis=2)).copy()
    opaque = np.full(shown.shape[:2], 255, np.uint8)
    key = 1 if depth > 1 else 0
    opaque[:20, :20] = 0
    shown[:20, :20] = round(key * 255 / (2**depth - 1))
    if colour == GREY:
        opaque[grey(depth)[..., 0] == key] = 0
    return np.dstack([shown, opaque])


def _surrounded() -> Iterator[Entry]:
    own: Any = partial(png, colours(), RGB, 8)
    yield Entry("png all small chunks", lambda: own(*(chunk(name, body) for name, body in ANCILLARY.items())))
    yield Entry("png many data chunks", lambda: own(idat=100))
    profile = chunk(b"iCCP", b"Photoshop\0\0" + zlib.compress(meta.icc()))
    yield Entry("png ICC", lambda: own(profile), icc=meta.icc())
    yield Entry("png 16 with ICC", lambda: png(colours(16), RGB, 16, profile), icc=meta.icc(), bits=16)
    own_grey = chunk(b"iCCP", b"g\0\0" + zlib.compress(meta.icc("GRAY")))
    yield Entry(
        "png grey with ICC", lambda: png(grey(), GREY, 8, own_grey), icc=meta.icc("GRAY"), mode="L", truth=shown_grey
    )
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + meta.PLAIN_XMP)
    yield Entry("png plain XMP", lambda: own(text), rights=True)
    for orientation in range(1, 9):
        stored = partial(lambda o: upright(scene(), {6: 8, 8: 6}.get(o, o))[..., ::-1], orientation)
        block = chunk(b"eXIf", meta.exif(orientation, meta.preview()))
        yield Entry(
            f"png orientation {orientation} with thumbnail",
            partial(lambda s, b: png(s(), RGB, 8, b), stored, block),
            camera=True,
            planted=1,
            new_thumbnail=True,
        )
    yield Entry("png EXIF behind the data", lambda: own(after=chunk(b"eXIf", meta.exif())), camera=True)


def _hiding() -> Iterator[Entry]:
    own: Any = partial(png, colours(), RGB, 8)
    small = meta.preview()
    raw = (
        b"\nexif\n%8d\n" % len(small)
        + b"\n".join(small.hex().encode()[at : at + 72] for at in range(0, 2 * len(small), 72))
        + b"\n"
    )
    yield Entry(
        "png hexadecimal profile in zTXt",
        lambda: own(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw))),
        planted=1,
    )
    yield Entry(
        "png hexadecimal profile in tEXt", lambda: own(chunk(b"tEXt", b"Raw profile type APP1\0" + raw)), planted=1
    )
    thumb = meta.xmp_with(b"xmpGImg:image", small, b"&#xA;")
    yield Entry("png thumbnail in XMP", lambda: own(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + thumb)), planted=1)
    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(thumb)
    yield Entry("png thumbnail in packed XMP", lambda: own(chunk(b"iTXt", packed)), planted=1)
    for form in ("JPEG", "PNG", "WEBP"):
        yield Entry(
            f"png {form} in an unknown chunk", partial(lambda f: own(chunk(b"prVw", meta.preview(f))), form), planted=1
        )
        yield Entry(f"png {form} behind the end", partial(lambda f: own() + meta.preview(f), form), planted=1)
    inside = chunk(b"iCCP", b"p\0\0" + zlib.compress(meta.icc() + small))
    yield Entry("png preview behind the profile's end", lambda: own(inside), planted=1, icc=meta.icc())


def _refused() -> Iterator[Entry]:
    own: Any = partial(png, colours(), RGB, 8)
    yield Entry("png truncated", lambda: own()[:-600], TruncatedMedia, "IEND")
    yield Entry("png wrong checksum", lambda: _damaged(own()), CorruptMedia, "IDAT")
    yield Entry("png too few rows", lambda: _taller(own()), CorruptMedia)
    yield Entry("png bomb", _bomb, TooManyPixels, "limit")
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", 0, WIDTH, HEIGHT, 0, 0, 1, 2, 0, 0)
    )
    yield Entry("png animated", lambda: own(control), UnsupportedMedia, "animated")


def _damaged(coded: bytes) -> bytes:
    """One bit of the data is another."""
    return coded[:-20] + bytes((coded[-20] ^ 1,)) + coded[-19:]


def _taller(coded: bytes) -> bytes:
    header = coded[12:20] + struct.pack(">I", 4 * HEIGHT) + coded[24:29]
    return coded[:8] + chunk(b"IHDR", header[4:]) + coded[33:]


def _bomb() -> bytes:
    header = struct.pack(">IIBBBBB", 2**19, 2**19, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
