"""Whether a TIFF holds one whole picture. Its decoders fill missing rows with grey instead of failing, so this is asked
before them.

The tag numbers of TIFF 6.0 that reader, writer and checks share stand here too.
"""

from __future__ import annotations

import simplejpeg

from velum_pipeline.errors import CorruptMedia, UnsupportedMedia
from velum_pipeline.media.ifd import Ifd, Tree

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 0x0100, 0x0101, 0x0102, 0x0103, 0x0106
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 0x0111, 0x0115, 0x0116, 0x0117
PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 0x011C, 0x0142, 0x0143, 0x0144, 0x0145
PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBFILE = 0x013D, 0x0152, 0x0153, 0x00FE
XMP, ICC = 0x02BC, 0x8773
UNCOMPRESSED, OLD_JPEG, JPEG, DEFLATE = 1, 6, 7, 8
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


def check_samples(data: bytes, tree: Tree, page: Ifd) -> None:
    """Raises CorruptMedia when strips or tiles are missing or short, UnsupportedMedia for a compression that cannot be
    checked.
    """
    width, height = tree.number(page, WIDTH) or 0, tree.number(page, HEIGHT) or 0
    planes = (tree.number(page, SAMPLES) or 1) if tree.number(page, PLANAR) == 2 else 1
    tiled = TILE_OFFSETS in page.entries
    wide = (tree.number(page, TILE_WIDTH) or width) if tiled else width
    high = tree.number(page, TILE_HEIGHT if tiled else ROWS_PER_STRIP) or height
    across, down = -(-width // wide), -(-height // high)
    offsets = tree.numbers(page, TILE_OFFSETS if tiled else STRIP_OFFSETS)
    counts = tree.numbers(page, TILE_COUNTS if tiled else STRIP_COUNTS)
    if min(len(offsets), len(counts)) < across * down * planes:
        raise CorruptMedia(f"the TIFF needs {across * down * planes} strips or tiles and has {len(offsets)}")
    compression = tree.number(page, COMPRESSION) or UNCOMPRESSED
    row = -(-width * sum(tree.numbers(page, BITS) or (1,)) // 8)
    if compression == UNCOMPRESSED and planes == 1 and sum(counts) < row * height:
        raise CorruptMedia(f"the TIFF needs {row * height} bytes of samples and has {sum(counts)}")
    if compression == OLD_JPEG:
        raise UnsupportedMedia("a TIFF with the old JPEG compression is not supported; save it with another")
    if compression == JPEG:
        rows = [high if tiled else min(high, height - index % down * high) for index in range(len(offsets))]
        tables = page.entries[JPEG_TABLES].raw if JPEG_TABLES in page.entries else b"\xff\xd8\xff\xd9"
        for start, count, need in zip(offsets, counts, rows, strict=False):
            _check_jpeg(tables[:-2] + data[start + 2 : start + count], wide, need)


def _check_jpeg(piece: bytes, width: int, height: int) -> None:
    """Decode one strip or tile strictly: libtiff fills what its JPEG does not hold with grey, and says nothing."""
    try:
        rows, columns, space, _ = simplejpeg.decode_jpeg_header(piece)
        simplejpeg.decode_jpeg(piece, {"CMYK": "CMYK", "YCCK": "CMYK", "Gray": "GRAY"}.get(space, "BGR"))
    except ValueError as error:
        raise CorruptMedia(f"a JPEG strip of the TIFF does not decode: {error}") from None
    if rows < height or columns < width:
        raise CorruptMedia(f"a JPEG strip of the TIFF holds {columns} x {rows} of {width} x {height} pixels")
