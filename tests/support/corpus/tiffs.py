"""TIFF files: strips and tiles, both byte orders, planes, depths, compressions, pages."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
from PIL import Image

from support.corpus import metadata as meta
from support.corpus.entry import Entry
from support.corpus.pngs import alpha, colours, grey, palette_of, see_through, shown_grey, shown_palette
from support.corpus.scene import HEIGHT, WIDTH, Array, scene
from velum_pipeline.errors import CorruptMedia, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.orientation import upright

NONE, LZW, OLD_JPEG, JPEG, DEFLATE, PACKBITS = 1, 5, 6, 7, 8, 32773
BLACK_IS_ZERO, RGB, PALETTE, CMYK = 1, 2, 3, 5
LOSSY = 4.0
Tags = dict[int, tuple[int, bytes]]


def tiff(
    samples: Array,
    photometric: int,
    *,
    depth: int = 8,
    order: str = "<",
    deflate: bool = False,
    tile: int = 0,
    rows: int = 16,
    planar: bool = False,
    more: Tags | None = None,
    second: bytes = b"",
) -> bytes:
    """A one-page file of samples (H, W, channels). more: further tags; second: bytes behind the directory's data."""
    height, width, channels = samples.shape
    planes = [samples[..., k : k + 1] for k in range(channels)] if planar else [samples]
    pieces = [piece for plane in planes for piece in _pieces(plane, tile, rows)]
    coded = [_coded(piece, depth, order, deflate) for piece in pieces]

    def short(*values: int) -> tuple[int, bytes]:
        return 3, struct.pack(f"{order}{len(values)}H", *values)

    def long(*values: int) -> tuple[int, bytes]:
        return 4, struct.pack(f"{order}{len(values)}I", *values)

    tags: Tags = {
        0x100: long(width),
        0x101: long(height),
        0x102: short(*[depth] * channels),
        0x103: short(DEFLATE if deflate else NONE),
        0x106: short(photometric),
        0x115: short(channels),
        0x11C: short(2 if planar else 1),
        0x11A: (5, struct.pack(order + "2I", 300, 1)),
    }
    offsets, counts = (0x144, 0x145) if tile else (0x111, 0x117)
    tags |= {0x142: short(tile), 0x143: short(tile)} if tile else {0x116: long(rows)}
    tags |= {counts: long(*map(len, coded)), offsets: long(*[0] * len(coded))} | (more or {})
    at = 8 + len(meta.directory(tags, order, 8))
    places = [at + sum(map(len, coded[:index])) for index in range(len(coded))]
    tags[offsets] = long(*places)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return b"".join((header, meta.directory(tags, order, 8), *coded, second))


def _pieces(plane: Array, tile: int, rows: int) -> Iterator[Array]:
    height, width = plane.shape[:2]
    if not tile:
        yield from (plane[top : top + rows] for top in range(0, height, rows))
        return
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    for top in range(0, height, tile):
        yield from (padded[top : top + tile, left : left + tile] for left in range(0, width, tile))


def _coded(piece: Array, depth: int, order: str, deflate: bool) -> bytes:
    if depth < 8:
        rows = piece.reshape(piece.shape[0], -1)
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        raw = np.packbits(bits.reshape(rows.shape[0], -1).astype(np.uint8), axis=1).tobytes()
    else:
        raw = piece.astype(np.dtype(f"{order}u{depth // 8}")).tobytes()
    return zlib.compress(raw) if deflate else raw


def pillow(bgr: Array, compression: str | None, mode: str | None = None, **settings: object) -> bytes:
    """A file by Pillow and libtiff."""
    return meta.save(bgr, "TIFF", mode, compression=compression, **settings)


def deep(compression: int) -> bytes:
    """16-bit colours by cv2, with libtiff's compression of that number."""
    done, coded = cv2.imencode(".tiff", scene().astype(np.uint16) * 257, [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    assert done
    return bytes(coded)


def inks() -> Array:
    """Cyan, magenta, yellow and no black, as TIFF has them: 255 is full ink."""
    return np.dstack([255 - scene()[..., ::-1], np.zeros((HEIGHT, WIDTH), np.uint8)])


def pages(count: int, reduced: bool) -> bytes:
    """Several pages, full ones or one with thumbnails."""
    buffer = io.BytesIO()
    images = [Image.fromarray(np.ascontiguousarray(scene()[..., ::-1])) for _ in range(count)]
    for image in images[1:] if reduced else []:
        image.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def entries() -> Iterator[Entry]:
    """All of them."""
    yield from _laid_out()
    yield from _compressed()
    yield from _surrounded()
    yield from _refused()


def _laid_out() -> Iterator[Entry]:
    for order, name in (("<", "little endian"), (">", "big endian")):
        for depth in (8, 16):
            for layout, tile, planar in (
                ("strips", 0, False),
                ("tiles", 32, False),
                ("planes", 0, True),
                ("planes in tiles", 16, True),
            ):
                if depth == 16 and planar:
                    continue
                yield Entry(
                    f"tiff {name}, RGB {depth}, {layout}",
                    partial(
                        lambda d, o, t, p: tiff(colours(d), RGB, depth=d, order=o, tile=t, planar=p),
                        depth,
                        order,
                        tile,
                        planar,
                    ),
                    bits=depth,
                )
            yield Entry(
                f"tiff {name}, RGB {depth}, deflated",
                partial(lambda d, o: tiff(colours(d), RGB, depth=d, order=o, deflate=True), depth, order),
                bits=depth,
            )
            yield Entry(
                f"tiff {name}, grey {depth}",
                partial(lambda d, o: tiff(grey(d), BLACK_IS_ZERO, depth=d, order=o), depth, order),
                truth=shown_grey,
                mode="L" if depth == 8 else "I;16",
                bits=depth,
                tolerance=0.6,
            )
            extra = {0x152: (3, struct.pack(order + "H", 2))}
            yield Entry(
                f"tiff {name}, RGBA {depth}",
                partial(
                    lambda d, o, e: tiff(np.dstack([colours(d), alpha(d)]), RGB, depth=d, order=o, more=e),
                    depth,
                    order,
                    extra,
                ),
                truth=lambda: see_through(scene()),
                mode="RGBA",
                bits=depth,
            )
    yield Entry("tiff grey 1", lambda: tiff(grey(1), BLACK_IS_ZERO, depth=1), truth=partial(shown_grey, 1), mode="L")
    yield Entry(
        "tiff grey 4",
        lambda: tiff(grey(4), BLACK_IS_ZERO, depth=4),
        truth=partial(shown_grey, 4),
        mode="L",
        tolerance=0.6,
    )
    yield Entry("tiff white is zero", lambda: tiff(255 - grey(), 0), truth=shown_grey, mode="L")
    yield Entry("tiff palette", _paletted, truth=partial(shown_palette, 8))
    yield Entry("tiff inks", lambda: tiff(inks(), CMYK), mode="CMYK")
    for width, height in ((1, 1), (1, 9), (17, 1), (121, 87)):
        own = partial(scene, width, height)
        yield Entry(f"tiff {width} x {height}", partial(lambda o: tiff(o()[..., ::-1], RGB), own), truth=own)


def _paletted() -> bytes:
    indices, table = palette_of(8)
    full = np.zeros((256, 3), np.uint16)
    full[: len(table)] = table.astype(np.uint16) * 257
    return tiff(indices, PALETTE, more={0x140: (3, full.T.astype("<u2").tobytes())})


def _compressed() -> Iterator[Entry]:
    for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate", "lzma", None):
        yield Entry(f"tiff {name or 'uncompressed'} by libtiff", partial(pillow, scene(), name))
    yield Entry("tiff JPEG", lambda: pillow(scene(), "jpeg"), tolerance=LOSSY)
    yield Entry("tiff grey JPEG", lambda: pillow(scene(), "jpeg", "L"), truth=shown_grey, mode="L", tolerance=LOSSY)
    for compression, name in ((NONE, "uncompressed"), (LZW, "LZW"), (DEFLATE, "deflated")):
        yield Entry(f"tiff RGB 16, {name}, by libtiff", partial(deep, compression), bits=16)


def _surrounded() -> Iterator[Entry]:
    profile = {0x8773: (7, meta.icc())}
    yield Entry("tiff ICC", lambda: tiff(colours(), RGB, more=profile), icc=meta.icc())
    yield Entry("tiff 16 with ICC", lambda: tiff(colours(16), RGB, depth=16, more=profile), icc=meta.icc(), bits=16)
    press = {0x8773: (7, meta.icc("CMYK"))}
    yield Entry("tiff inks with ICC", lambda: tiff(inks(), CMYK, more=press), icc=meta.icc("CMYK"), mode="CMYK")
    yield Entry("tiff plain XMP", lambda: tiff(colours(), RGB, more={0x2BC: (1, meta.PLAIN_XMP)}), rights=True)
    for orientation in range(1, 9):
        stored: Callable[[], Array] = partial(
            lambda o: upright(scene(), {6: 8, 8: 6}.get(o, o))[..., ::-1], orientation
        )
        for depth in (8, 16) if orientation in (3, 6) else (8,):
            turned = {0x112: (3, struct.pack("<H", orientation))}
            yield Entry(
                f"tiff orientation {orientation}, {depth} bit",
                partial(
                    lambda s, d, m: tiff(s().astype(np.uint16) * (257 if d == 16 else 1), RGB, depth=d, more=m),
                    stored,
                    depth,
                    turned,
                ),
                bits=depth,
            )
    small = meta.preview()
    yield Entry("tiff thumbnail page", lambda: pages(2, True), planted=1)
    yield Entry(
        "tiff Photoshop thumbnail",
        lambda: tiff(colours(), RGB, more={0x8649: (1, b"8BIM\x04\x0c\0\0" + small)}),
        planted=1,
    )
    yield Entry("tiff IPTC preview", lambda: tiff(colours(), RGB, more={0x83BB: (7, small)}), planted=1)
    yield Entry("tiff preview in an unknown tag", lambda: tiff(colours(), RGB, more={0xC7AA: (7, small)}), planted=1)
    yield Entry("tiff preview in a gap", lambda: tiff(colours(), RGB, second=bytes(8) + small), planted=1)
    thumb = meta.xmp_with(b"xmpGImg:image", small, b"\n")
    yield Entry("tiff thumbnail in XMP", lambda: tiff(colours(), RGB, more={0x2BC: (1, thumb)}), planted=1)
    raw = cv2.resize(scene(), (16, 12), interpolation=cv2.INTER_AREA).tobytes()
    yield Entry(
        "tiff raw samples in an unknown tag", lambda: tiff(colours(), RGB, more={0xC002: (7, raw)}), secrets=(raw[:48],)
    )


def _refused() -> Iterator[Entry]:
    own = partial(tiff, colours(), RGB)
    yield Entry("tiff of two pages", lambda: pages(2, False), UnsupportedMedia, "2 pages")
    yield Entry("tiff of four pages", lambda: pages(4, False), UnsupportedMedia, "4 pages")
    yield Entry("tiff BigTIFF", lambda: pillow(scene(), None, big_tiff=True), UnsupportedMedia, "classic TIFF")
    yield Entry(
        "tiff floating point",
        lambda: meta.save(np.ones((9, 9), np.float32), "TIFF"),
        UnsupportedMedia,
        "floating point",
    )
    yield Entry(
        "tiff fax",
        lambda: meta.save(grey()[..., 0].astype(np.uint8), "TIFF", "1", compression="group4"),
        UnsupportedMedia,
        "compression",
    )
    yield Entry("tiff truncated", lambda: own()[:-600], TruncatedMedia, "reach to byte")
    yield Entry("tiff too few strips", lambda: own(more={0x101: (4, struct.pack("<I", 880))}), CorruptMedia, "strips")
    yield Entry(
        "tiff of a thumbnail", lambda: own(more={0xFE: (4, struct.pack("<I", 1))}), UnsupportedMedia, "raw photograph"
    )
    yield Entry(
        "tiff raw photograph", lambda: own(more={0x14A: (4, struct.pack("<I", 8))}), UnsupportedMedia, "raw photograph"
    )
