"""TIFF: directories read and written here, samples decoded by Pillow (8 bit, 16-bit grey) or cv2 (16-bit colours).

No library at hand writes 16-bit colours together with tags, so the writer is ours: one page, strips, uncompressed or
deflated with the horizontal predictor (TIFF 6.0; deflate: Adobe Technical Note, 2002). A file that was compressed in
whatever way comes out deflated, without loss. Thumbnail pages (reduced-resolution subfiles) are dropped; several full
pages are refused, since writing one would lose the others.
"""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import cv2
import numpy as np

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.media import bitmaps
from velum_pipeline.media import exif as exifs
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.ifd import LONG, UNDEFINED, Entry, Ifd, IfdError, Tree
from velum_pipeline.media.kinds import TIFF
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Encoding, Layout, Metadata, Picture, Samples
from velum_pipeline.media.tiffcheck import (
    BITS,
    COMPRESSION,
    DEFLATE,
    EXTRA_SAMPLES,
    HEIGHT,
    ICC,
    OLD_DEFLATE,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_COUNTS,
    STRIP_OFFSETS,
    TILE_COUNTS,
    TILE_OFFSETS,
    UNCOMPRESSED,
    WIDTH,
    XMP,
    check_pages,
    check_samples,
)

RGB = 2
"""TIFF 6.0, PhotometricInterpretation."""
VERIFIED = (UNCOMPRESSED, DEFLATE, OLD_DEFLATE)
"""Compressions whose every strip ``check_samples`` has found whole. The others are left to Pillow, which is strict."""
STRIP_BYTES = 2**18
"""Bytes before compression per strip.

TIFF 6.0 advises 8 KiB, from a time of less memory; larger ones deflate better.
"""


def dimensions(head: bytes) -> Dimensions | None:
    """Width and height of the first page; None when its directory lies beyond these bytes."""
    try:
        tree = ifds.parse(head)
    except IfdError:
        return None
    width, height = tree.number(tree.pages[0], WIDTH), tree.number(tree.pages[0], HEIGHT)
    return Dimensions(width, height) if width and height else None


def truncation(head: bytes, tail: bytes, size: int) -> str | None:  # noqa: ARG001 -- one shape for all codecs
    """Why the file cannot be whole, or None: its first directory and every strip or tile must lie within it."""
    if len(head) < 8:
        return "the TIFF ends within its header"
    order = "<" if head[:2] == b"II" else ">"
    if struct.unpack(order + "I", head[4:8])[0] + 6 > size:
        return "the TIFF ends before its directory"
    try:
        tree = ifds.parse(head)
    except IfdError:
        return "the TIFF ends before what its directory points to" if size <= len(head) else None
    page = tree.pages[0]
    if size <= len(head) and exifs.STRUCTURAL & page.unread:
        return "the TIFF ends before what its directory points to"
    for offsets, counts in ((STRIP_OFFSETS, STRIP_COUNTS), (TILE_OFFSETS, TILE_COUNTS)):
        pairs = zip(tree.numbers(page, offsets), tree.numbers(page, counts), strict=False)
        reach = max((start + count for start, count in pairs), default=0)
        if reach > size:
            return f"the TIFF's samples reach to byte {reach}, the file has {size}"
    return None


def decode(data: bytes) -> Picture:
    """The upright picture. Raises CorruptMedia, TruncatedMedia, UnsupportedMedia."""
    try:
        tree = ifds.parse(data)
    except IfdError as error:
        raise CorruptMedia(f"the TIFF's directory is broken: {error}") from None
    page = tree.pages[0]
    check_pages(tree)
    check_samples(data, tree, page)
    orientation = tree.number(page, exifs.ORIENTATION) or 1
    samples, layout = _samples(_stored_upright(data), tree, page)
    native = upright(samples, orientation)
    height, width = native.shape[:2]
    metadata = Metadata(
        exif=exifs.cleaned(data, width, height),
        icc=exifs.clean_icc(page.entries[ICC].raw if ICC in page.entries else None, layout),
        xmp=exifs.clean_xmp(page.entries[XMP].raw.rstrip(b"\0") if XMP in page.entries else None),
    )
    compressed = (tree.number(page, COMPRESSION) or UNCOMPRESSED) != UNCOMPRESSED
    return Picture(TIFF, native, layout, metadata, Encoding(compressed=compressed))


def encode(picture: Picture, compress_level: int) -> bytes:
    """The picture as a one-page TIFF with its metadata. ``compress_level``: 0..9, for files that were compressed."""
    meta = picture.metadata
    tree = ifds.parse(meta.exif) if meta.exif else Tree("<", [Ifd()])
    page = tree.pages[0]
    rows = _rows_per_strip(picture)
    strips = range(-(-picture.height // rows))
    _describe(tree, page, picture)
    tree.put(page, ROWS_PER_STRIP, rows, kind=LONG)
    if meta.icc:
        page.entries[ICC] = Entry(UNDEFINED, len(meta.icc), meta.icc)
    if meta.xmp:
        page.entries[XMP] = Entry(ifds.BYTE, len(meta.xmp), meta.xmp)
    for tag in (STRIP_COUNTS, STRIP_OFFSETS):
        tree.put(page, tag, *(0 for _ in strips), kind=LONG)
    buffer = io.BytesIO(ifds.serialise(tree))  # room for a directory of that size, in front of the strips
    places = [buffer.seek(0, io.SEEK_END)]
    for strip in strips:
        buffer.write(_strip(picture, slice(strip * rows, (strip + 1) * rows), tree.order, compress_level))
        places.append(buffer.tell())
    tree.put(page, STRIP_OFFSETS, *places[:-1], kind=LONG)
    tree.put(page, STRIP_COUNTS, *(end - start for start, end in pairwise(places)), kind=LONG)
    buffer.seek(0)
    buffer.write(ifds.serialise(tree))
    return buffer.getvalue()


def _stored_upright(data: bytes) -> bytes:
    """The file with Orientation 1.

    Both libraries would turn the samples, each in its own way, and we turn them ourselves.
    """
    where = ifds.find(data, exifs.ORIENTATION)
    if where is None:
        return data
    one = struct.pack("<H" if data[:2] == b"II" else ">H", 1)
    return b"".join((data[:where], one, data[where + 2 :]))


def _samples(data: bytes, tree: Tree, page: Ifd) -> tuple[Samples, Layout]:
    bits = set(tree.numbers(page, BITS)) or {1}
    if set(tree.numbers(page, SAMPLE_FORMAT)) - {1} or bits - {1, 2, 4, 8, 16} or len(bits) > 1:
        raise UnsupportedMedia(
            "a TIFF of signed, floating point or odd-sized samples is not supported; save it as 8 or 16 bit"
        )
    samples, photometric = tree.number(page, SAMPLES) or 1, tree.number(page, PHOTOMETRIC)
    if bits == {16} and samples > 1:
        return bitmaps.read_deep(data, "TIFF")
    chunky = (tree.number(page, PLANAR) or 1) == 1
    if (bits, samples, photometric, chunky) == ({8}, 3, RGB, True) and tree.number(page, COMPRESSION) in VERIFIED:
        # Whole by now, and cv2 holds it once, where Pillow needs two and a half times the memory.
        return bitmaps.read_deep(data, "TIFF")
    return bitmaps.read(data, "TIFF")


def _describe(tree: Tree, page: Ifd, picture: Picture) -> None:
    channels = 1 if picture.native.ndim == 2 else picture.native.shape[2]
    photometric = {Layout.GREY: 1, Layout.CMYK: 5}.get(picture.layout, 2)
    tree.put(page, WIDTH, picture.width, kind=LONG)
    tree.put(page, HEIGHT, picture.height, kind=LONG)
    tree.put(page, BITS, *[picture.native.itemsize * 8] * channels)
    tree.put(page, COMPRESSION, DEFLATE if picture.encoding.compressed else UNCOMPRESSED)
    tree.put(page, PHOTOMETRIC, photometric)
    tree.put(page, SAMPLES, channels)
    if picture.encoding.compressed:
        tree.put(page, PREDICTOR, 2)
    if picture.layout.has_alpha:
        tree.put(page, EXTRA_SAMPLES, 2)


def _rows_per_strip(picture: Picture) -> int:
    row_bytes = picture.native.nbytes // picture.height
    return max(1, min(picture.height, STRIP_BYTES // row_bytes))


def _strip(picture: Picture, rows: slice, order: str, compress_level: int) -> bytes:
    """The coded bytes of some rows."""
    stored = _file_channels(picture.native[rows], picture.layout)
    kind = stored.dtype.newbyteorder("<" if order == "<" else ">")
    if not picture.encoding.compressed:
        return stored.astype(kind).tobytes()
    differences = stored.copy()
    differences[:, 1:] -= stored[:, :-1]
    return zlib.compress(differences.astype(kind).tobytes(), compress_level)


def _file_channels(native: Samples, layout: Layout) -> Samples:
    """Samples (H, W, C) in the order of the file: RGB, and inks as TIFF has them, not inverted."""
    if layout is Layout.BGR:
        return np.asarray(cv2.cvtColor(native, cv2.COLOR_BGR2RGB))
    if layout is Layout.BGRA:
        return np.asarray(cv2.cvtColor(native, cv2.COLOR_BGRA2RGBA))
    return 255 - native if layout is Layout.CMYK else native[..., None]
