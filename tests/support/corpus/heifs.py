"""HEIC and AVIF files: depths, chroma, opacity, tiles, turns, colour descriptions, and what telephones hide in them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from support.corpus import metadata as meta
from support.corpus.entry import Entry
from support.corpus.pngs import alpha, see_through, shown_grey
from support.corpus.scene import Array, scene
from velum_pipeline.errors import CorruptMedia, TooManyPixels, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.orientation import upright

LOSSY = 5.0
NCLX = ("color_primaries", "transfer_characteristics", "matrix_coefficients", "full_range_flag")
DISPLAY_P3, BT2020_PQ, LIMITED = (12, 13, 6, 1), (9, 16, 9, 1), (1, 1, 1, 0)


def heic(samples: Array | None = None, mode: str = "BGR", **settings: Any) -> bytes:
    """A HEIC by libheif and x265."""
    own = scene() if samples is None else samples
    buffer = io.BytesIO()
    settings.setdefault("quality", 92)
    settings.setdefault("enc_params", {"preset": "ultrafast"})
    settings["enc_params"] = dict(settings["enc_params"])
    size = (own.shape[1], own.shape[0])
    pillow_heif.encode(mode, size, np.ascontiguousarray(own).tobytes(), buffer, **settings)
    return buffer.getvalue()


def avif(samples: Array | None = None, **settings: Any) -> bytes:
    """An AVIF by libavif and libaom."""
    settings = {"quality": 92, "speed": 9, "subsampling": "4:2:0"} | settings
    return meta.save(scene() if samples is None else samples, "AVIF", **settings)


def clear() -> Array:
    """The scene with opacity, BGRA."""
    return np.dstack([scene(), alpha().astype(np.uint8)])


def several(count: int, thumbnails: bool) -> bytes:
    """A HEIC of several pictures, or of one with thumbnails."""
    pictures = pillow_heif.HeifFile()
    for _ in range(count):
        pictures.add_frombytes("BGR", (scene().shape[1], scene().shape[0]), scene().tobytes())
    if thumbnails:
        pictures[0].info["thumbnails"] = [80]
    buffer = io.BytesIO()
    pictures.save(buffer, quality=92)
    return buffer.getvalue()


def with_auxiliary() -> bytes:
    """A HEIC with an auxiliary picture that shows the face, as gain maps do: an opacity under another name."""
    coded = heic(np.dstack([scene(), shown_grey()]), "BGRA")
    opacity = b"urn:mpeg:hevc:2015:auxid:1"
    assert opacity in coded
    return coded.replace(opacity, b"urn:velum:2026:aux:gainmap")


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def heics() -> Iterator[Entry]:
    """All HEIC files."""
    lossy = partial(Entry, tolerance=LOSSY)
    for chroma in ("420", "422", "444"):
        yield lossy(f"heic {chroma}", partial(heic, chroma=chroma))
    grey = shown_grey()
    yield lossy("heic grey", partial(heic, grey, "L"), truth=shown_grey, mode="L")
    for bits in (10, 12):
        deep = scene().astype(np.uint16) * 257
        yield lossy(f"heic {bits} bits", partial(heic, deep, "BGR;16", bit_depth=bits), bits=bits)
        yield lossy(
            f"heic grey, {bits} bits",
            partial(heic, grey.astype(np.uint16) * 257, "L;16", bit_depth=bits),
            truth=shown_grey,
            mode="L",
            bits=bits,
        )
    yield lossy("heic with alpha", partial(heic, clear(), "BGRA"), truth=lambda: see_through(scene()), mode="RGBA")
    yield lossy(
        "heic with alpha, 10 bits",
        partial(heic, clear().astype(np.uint16) * 257, "BGRA;16", bit_depth=10),
        truth=lambda: see_through(scene()),
        mode="RGBA",
        bits=10,
    )
    yield lossy("heic tiles", partial(heic, tile_size=64))
    yield lossy("heic ICC", partial(heic, icc_profile=meta.icc(), icc_profile_type="prof"), icc=meta.icc())
    for name, values in (("Display P3", DISPLAY_P3), ("BT.2020 PQ", BT2020_PQ), ("limited range", LIMITED)):
        profile = dict(zip(NCLX, values, strict=True))
        yield lossy(f"heic {name}", partial(heic, nclx_profile=profile, chroma="444"))
    yield from _shaped("heic", heic)
    yield lossy(
        "heic thumbnail in EXIF",
        partial(heic, exif=meta.exif(1, meta.preview())),
        camera=True,
        planted=1,
        new_thumbnail=True,
    )
    yield lossy("heic thumbnail item", partial(several, 1, True), planted=1)
    yield lossy("heic auxiliary picture", with_auxiliary, planted=1)
    yield lossy("heic thumbnail in XMP", partial(heic, xmp=meta.xmp_with(b"xmpGImg:image", meta.preview())), planted=1)
    yield lossy("heic preview behind the end", lambda: heic() + _box(b"free", meta.preview()), planted=1)
    yield Entry("heic lying header", lambda: _sized(heic(), 64, 64), CorruptMedia)
    yield Entry("heic of two pictures", partial(several, 2, False), UnsupportedMedia, "2 pictures")
    yield from _refused("heic", heic)
    yield Entry(
        "heic sequence",
        lambda: heic().replace(b"ftypheic", b"ftyphevc", 1).replace(b"ftypheix", b"ftyphevx", 1),
        UnsupportedMedia,
        "sequence",
    )


def _shaped(name: str, write: Callable[..., bytes]) -> Iterator[Entry]:
    """Odd sizes, all orientations and a plain XMP packet, as both formats have them."""
    lossy = partial(Entry, tolerance=LOSSY)
    for width, height in ((1, 1), (17, 1), (121, 87)):
        yield lossy(
            f"{name} {width} x {height}", partial(write, scene(width, height)), truth=partial(scene, width, height)
        )
    for orientation in range(1, 9):
        stored = upright(scene(), {6: 8, 8: 6}.get(orientation, orientation))
        yield lossy(
            f"{name} orientation {orientation}", partial(write, stored, exif=meta.exif(orientation)), camera=True
        )
    yield lossy(f"{name} XMP", partial(write, xmp=meta.PLAIN_XMP), rights=True)


def avifs() -> Iterator[Entry]:
    """All AVIF files."""
    lossy = partial(Entry, tolerance=LOSSY)
    for chroma in ("4:2:0", "4:2:2", "4:4:4"):
        yield lossy(f"avif {chroma}", partial(avif, subsampling=chroma))
    yield lossy("avif grey", partial(avif, shown_grey(), subsampling="4:0:0"), truth=shown_grey, mode="L")
    yield lossy("avif with alpha", partial(avif, clear()), truth=lambda: see_through(scene()), mode="RGBA")
    yield lossy("avif ICC", partial(avif, icc_profile=meta.icc()), icc=meta.icc())
    yield lossy("avif Display P3", lambda: avif().replace(b"colrnclx\0\1", b"colrnclx\0\x0c", 1))
    yield from _shaped("avif", avif)
    yield lossy(
        "avif thumbnail in EXIF",
        lambda: avif(exif=meta.exif(1, meta.preview()).replace(*_hidden_orientation())),
        camera=True,
        planted=1,
    )
    yield lossy("avif preview behind the end", lambda: avif() + _box(b"free", meta.preview()), planted=1)
    yield Entry("avif lying header", lambda: _sized(avif(), 64, 64), CorruptMedia, "its data 120 x 88")
    yield Entry("avif of 10 bits", lambda: _deeper(avif()), UnsupportedMedia, "10 bits")
    yield Entry("avif animated", _animated, UnsupportedMedia, "sequence")
    yield from _refused("avif", avif)


def _refused(name: str, make: Callable[..., bytes]) -> Iterator[Entry]:
    yield Entry(f"{name} truncated", lambda: make()[:-200], TruncatedMedia, "reach to byte")
    yield Entry(f"{name} ends in its header", lambda: make()[:120], TruncatedMedia)
    yield Entry(f"{name} bomb", lambda: _sized(make(), 2**19, 2**19), TooManyPixels, "limit")
    yield Entry(f"{name} of no pixels", lambda: _sized(make(), 0, 0), CorruptMedia, "0 x 0")


def _sized(coded: bytes, width: int, height: int) -> bytes:
    at = coded.index(b"ispe") + 8
    return coded[:at] + struct.pack(">II", width, height) + coded[at + 8 :]


def _deeper(coded: bytes) -> bytes:
    """An AVIF whose configuration says ten bits."""
    at = coded.index(b"av1C") + 6
    return coded[:at] + bytes((coded[at] | 0x40,)) + coded[at + 1 :]


def _hidden_orientation() -> tuple[bytes, bytes]:
    """Pillow writes a block anew, and loses its thumbnail, when it has an orientation: here it is another tag."""
    return struct.pack("<HHI", 0x0112, 3, 1), struct.pack("<HHI", 0x0111, 3, 1)


def _animated() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.ascontiguousarray(np.roll(scene(), shift, 1))) for shift in (0, 5)]
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:], speed=9)
    return buffer.getvalue()
