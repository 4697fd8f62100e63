"""Pillow's images and our arrays, one into the other; and cv2 for PNG and for the 16-bit colours that Pillow cannot
hold.

Pillow decodes what has palettes and odd depths, and is strict for all but PNG: a short or broken file raises. Its
messages become MediaErrors here. Its own pixel limit is off, because ours is checked before any decoder sees the file
(decode.py).
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from velum_pipeline.errors import CorruptMedia, StageFailed, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.picture import Layout, Samples

Image.MAX_IMAGE_PIXELS = None
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what its readers print about files, we raise
warnings.filterwarnings("ignore", module=r"PIL\.")  # it warns about metadata that we read ourselves
BROKEN = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    RuntimeError,  # of libavif
    OverflowError,
    Warning,
    struct.error,
    zlib.error,
)
"""What Pillow raises, depending on where in a file it stumbles."""
GREYS = ("1", "L")
COLOURS = ("RGB", "YCbCr", "LAB", "HSV")
ALPHAS = ("RGBA", "LA", "PA", "RGBa", "La")
SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")


BAND_BYTES = 2**24
"""Of samples that are turned at once from one form into another: a large picture is never held in three."""


def read(data: bytes, form: str) -> tuple[Samples, Layout]:
    """Decode with Pillow as the named format and no other. Returns samples in our layouts. Raises MediaError."""
    try:
        with Image.open(io.BytesIO(data), formats=[form]) as image:
            image.load()
            return _samples(image)
    except BROKEN as error:
        if isinstance(error, OSError) and "truncated" in str(error) and not isinstance(error, UnidentifiedImageError):
            raise TruncatedMedia(f"the {form} file is truncated: {error}") from None
        raise CorruptMedia(f"the {form} file does not decode: {_text(error)}") from None


def read_deep(data: bytes, form: str) -> tuple[Samples, Layout]:
    """Decode with cv2, which holds 16-bit colours. Raises CorruptMedia."""
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise CorruptMedia(f"the {form} file does not decode: {_text(error)}") from None
    if samples is None or samples.dtype not in (np.uint8, np.uint16):
        raise CorruptMedia(f"the {form} file does not decode")
    channels = samples.shape[2] if samples.ndim == 3 else 1
    layout = {1: Layout.GREY, 3: Layout.BGR, 4: Layout.BGRA}.get(channels)
    if layout is None:
        raise UnsupportedMedia(f"a {form} file of {channels} channels is not supported")
    return (samples[..., 0] if samples.ndim == 3 and channels == 1 else samples), layout


def to_pillow(samples: Samples, layout: Layout) -> Image.Image:
    """An 8-bit array as a Pillow image (L, RGB, RGBA or CMYK)."""
    if samples.dtype != np.uint8:
        raise StageFailed(f"Pillow cannot hold {samples.dtype} colours")
    if layout is Layout.CMYK:
        return Image.fromarray(np.ascontiguousarray(255 - samples), "CMYK")
    codes = {Layout.BGR: cv2.COLOR_BGR2RGB, Layout.BGRA: cv2.COLOR_BGRA2RGBA}
    turned = cv2.cvtColor(samples, codes[layout]) if layout in codes else np.ascontiguousarray(samples)
    return Image.fromarray(turned)


def _samples(image: Image.Image) -> tuple[Samples, Layout]:
    transparent = image.mode in ALPHAS or "transparency" in image.info
    if image.mode in SIXTEEN and not transparent:
        return np.asarray(image).astype(np.uint16), Layout.GREY
    if image.mode == "CMYK":
        return _turned(image, "CMYK", 4, lambda band: 255 - band), Layout.CMYK
    if transparent:
        return _turned(image, "RGBA", 4, lambda band: cv2.cvtColor(band, cv2.COLOR_RGBA2BGRA)), Layout.BGRA
    if image.mode in GREYS:
        return np.array(image.convert("L")), Layout.GREY
    if (image.mode == "P" and image.palette is not None) or image.mode in COLOURS:
        return _turned(image, "RGB", 3, lambda band: cv2.cvtColor(band, cv2.COLOR_RGB2BGR)), Layout.BGR
    raise UnsupportedMedia(f"samples of mode {image.mode} are not supported; save with 8 or 16 bits per channel")


def _turned(image: Image.Image, mode: str, channels: int, turn: Callable[[Samples], Samples]) -> Samples:
    """The image's samples in a Pillow mode, each band of rows turned into our order."""

    def turned(band: Image.Image) -> Samples:
        return np.asarray(turn(np.asarray(band if band.mode == mode else band.convert(mode))))

    rows = max(1, BAND_BYTES // (image.width * channels))
    if rows >= image.height:
        return turned(image)
    native = np.empty((image.height, image.width, channels), np.uint8)
    for top in range(0, image.height, rows):
        native[top : top + rows] = turned(image.crop((0, top, image.width, min(top + rows, image.height))))
    return native


def _text(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
