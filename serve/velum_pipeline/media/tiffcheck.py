"""Whether a TIFF holds one whole picture, and no more than it. Its decoders fill what they cannot read with grey
instead of failing, and take whatever memory a strip or tile announces, so both are asked before them.

LZW, PackBits and LZMA are left to the decoders, which do fail at them. Deflated strips are inflated here first and JPEG
strips decoded. Everything else is refused: nothing tells a whole strip of a fax from a broken one, and libtiff takes a
damaged ZSTD strip for a whole one.

The tag numbers of TIFF 6.0 that reader, writer and checks share stand here too.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import simplejpeg

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.media.ifd import Ifd, Tree

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 0x0100, 0x0101, 0x0102, 0x0103, 0x0106
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 0x0111, 0x0115, 0x0116, 0x0117
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 0x011C, 0x0142, 0x0143, 0x0144, 0x0145
PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBFILE = 0x013D, 0x0152, 0x0153, 0x00FE
XMP, ICC = 0x02BC, 0x8773
UNCOMPRESSED, JPEG, DEFLATE, OLD_DEFLATE = 1, 7, 8, 32946
LZW, LZMA, PACKBITS = 5, 34925, 32773
CHECKABLE = (UNCOMPRESSED, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS, LZMA)
MAX_SAMPLES = 8
"""Per pixel. No layout of ours has more than four, and the decoders refuse more than six."""
MAX_TILE = 1024
"""Pixels; tiles of at most this side may be larger than the picture they belong to."""
MCU = 32
"""Pixels; a JPEG in a tile or strip may be filled up to whole blocks of at most this side."""
JPEG_TABLES = 0x015B
REDUCED_OR_MASK = 0b101


def check_pages(tree: Tree) -> None:
    """Raises UnsupportedMedia for raw photographs and for more than one full page.

    Thumbnails and masks do not count.
    """
    kinds = [tree.number(page, SUBFILE) or 0 for page in tree.pages]
    if kinds[0] & REDUCED_OR_MASK or 0x014A in tree.pages[0].entries:
        raise UnsupportedMedia("a raw photograph or layered TIFF is not supported; export it as a plain picture")
    if sum(not kind & REDUCED_OR_MASK for kind in kinds) > 1:
        raise UnsupportedMedia(f"a TIFF of {len(kinds)} pages is not supported; send each page as a picture")


@dataclass(frozen=True)
class _Pieces:
    """How a page's samples are cut: strips, or tiles of one size.

    wide, high: pixels of a piece. across, down: how many. planes: 1, or one per sample. height: rows of the picture.
    """

    tiled: bool
    wide: int
    high: int
    across: int
    down: int
    planes: int
    height: int

    @property
    def count(self) -> int:
        return self.across * self.down * self.planes

    def rows(self, index: int) -> int:
        """How many rows the piece must hold; the last strip may be shorter."""
        return self.high if self.tiled else min(self.high, self.height - index % self.down * self.high)


def check_samples(data: bytes, tree: Tree, page: Ifd) -> None:
    """Raises CorruptMedia when strips or tiles are missing, broken, short or far larger than the picture,
    UnsupportedMedia for a compression that cannot be checked.
    """
    compression = tree.number(page, COMPRESSION) or UNCOMPRESSED
    if compression not in CHECKABLE:
        raise UnsupportedMedia(
            f"a TIFF of compression {compression} is not supported; save it with LZW, deflate or none"
        )
    bits = tree.numbers(page, BITS) or (1,)
    if max(len(bits), tree.number(page, SAMPLES) or 1) > MAX_SAMPLES:
        raise UnsupportedMedia(f"a TIFF of more than {MAX_SAMPLES} samples per pixel is not supported")
    pieces = _pieces(tree, page)
    offsets = _values(tree, page, TILE_OFFSETS if pieces.tiled else STRIP_OFFSETS, pieces.count)
    counts = _values(tree, page, TILE_COUNTS if pieces.tiled else STRIP_COUNTS, pieces.count)
    row = -(-pieces.wide * (bits[0] if pieces.planes > 1 else sum(bits)) // 8)
    if compression == UNCOMPRESSED:
        need = sum(row * pieces.rows(index) for index in range(pieces.count))
        if sum(counts) < need:
            raise CorruptMedia(f"the TIFF needs {need} bytes of samples and has {sum(counts)}")
    tables = page.entries[JPEG_TABLES].raw if JPEG_TABLES in page.entries else b"\xff\xd8\xff\xd9"
    for index, (start, count) in enumerate(zip(offsets, counts, strict=True)):
        piece = data[start : start + count] if compression in (JPEG, DEFLATE, OLD_DEFLATE) else b""
        if compression == JPEG:
            _check_jpeg(tables[:-2] + piece[2:], pieces.wide, pieces.rows(index), pieces.high)
        elif compression in (DEFLATE, OLD_DEFLATE):
            _check_deflate(piece, row * pieces.rows(index), row * pieces.high)


def _pieces(tree: Tree, page: Ifd) -> _Pieces:
    width, height = tree.number(page, WIDTH) or 0, tree.number(page, HEIGHT) or 0
    if not width or not height:
        raise CorruptMedia("the TIFF announces no size")
    tiled = TILE_OFFSETS in page.entries
    wide = (tree.number(page, TILE_WIDTH) or width) if tiled else width
    high = (
        (tree.number(page, TILE_HEIGHT) or height)
        if tiled
        else min(tree.number(page, ROWS_PER_STRIP) or height, height)
    )
    if wide > max(MAX_TILE, width + MCU) or high > max(MAX_TILE, height + MCU):
        raise CorruptMedia(f"the TIFF announces tiles of {wide} x {high} for a picture of {width} x {height}")
    planes = (tree.number(page, SAMPLES) or 1) if tree.number(page, PLANAR) == 2 else 1
    return _Pieces(tiled, wide, high, -(-width // wide), -(-height // high), planes, height)


def _values(tree: Tree, page: Ifd, tag: int, need: int) -> tuple[int, ...]:
    values = tree.numbers(page, tag)
    if len(values) < need:  # fewer than it counts where it holds no numbers
        raise CorruptMedia(f"the TIFF needs {need} strips or tiles and has {len(values)}")
    return values[:need]


def _check_deflate(piece: bytes, need: int, most: int) -> None:
    """Inflate one strip or tile to its end, whose checksum must hold: libtiff shows what came before an error."""
    stream = zlib.decompressobj()
    try:
        length = len(stream.decompress(piece, most + 1))
    except zlib.error as error:
        raise CorruptMedia(f"a deflated strip of the TIFF is damaged: {error}") from None
    if not stream.eof or not need <= length <= most:
        raise CorruptMedia(f"a deflated strip of the TIFF holds {length} bytes instead of {need}, or has no end")


def _check_jpeg(piece: bytes, width: int, height: int, full: int) -> None:
    """Decode one strip or tile strictly: libtiff fills what its JPEG does not hold with grey, and says nothing.

    Its header is asked first, so that no strip takes more memory than a whole one of the picture's (``full`` rows).
    """
    try:
        rows, columns, space, _ = simplejpeg.decode_jpeg_header(piece)
        held = f"a JPEG strip of the TIFF holds {columns} x {rows} of {width} x {height} pixels"
        if not (height <= rows <= full + MCU and width <= columns <= width + MCU):
            raise CorruptMedia(held)
        simplejpeg.decode_jpeg(piece, {"CMYK": "CMYK", "YCCK": "CMYK", "Gray": "GRAY"}.get(space, "BGR"))
    except ValueError as error:
        raise CorruptMedia(f"a JPEG strip of the TIFF does not decode: {error}") from None
