"""Whether a file can be anonymized with nothing changed outside the regions, known from its first bytes.

PNG, TIFF, BMP and lossless WebP hold samples, and samples are written as they were read. A JPEG holds blocks that can
be kept (splice/). The other formats have no such blocks: what they hold would be coded anew, with a loss everywhere.
"""

from __future__ import annotations

from velum_pipeline.media import jpeg, webp
from velum_pipeline.media.kinds import BMP, JPEG, PNG, TIFF, WEBP, MediaType

EXACT = (PNG, TIFF, BMP)
MAX_PIXELS = 100_000_000
"""Of a JPEG whose blocks are kept: following so many takes 15 s of one core and 0.9 GB, and it grows with them."""


def obstacle(media_type: MediaType, head: bytes) -> str | None:
    """Why a file of this type that begins so cannot be worked on without loss; None where nothing yet shows it.

    head: as much of the file as there is; a MiB is ample for most.
    """
    if media_type in EXACT:
        return None
    if media_type == JPEG:
        return _jpeg_obstacle(head)
    if media_type == WEBP:
        if webp.lossless(head) is not False:
            return None
        return "this WebP is lossy, and writing it changes all of it; send it without lossless, or as JPEG or PNG"
    return f"{media_type.mime} is always written with a loss; send it without lossless, or as JPEG or PNG"


def _jpeg_obstacle(head: bytes) -> str | None:
    code, size = jpeg.process(head), jpeg.dimensions(head)
    if code is not None and code not in jpeg.HUFFMAN_FRAMES:
        return "this JPEG is arithmetically coded, and its blocks cannot be kept; send it without lossless"
    if size is not None and size.pixels > MAX_PIXELS:
        return (
            f"this JPEG has {size.pixels} pixels, and blocks of at most {MAX_PIXELS} are kept; send it without lossless"
        )
    return None
