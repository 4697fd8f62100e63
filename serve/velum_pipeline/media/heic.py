"""HEIC: HEVC in HEIF, decoded by libde265 and encoded by x265 through libheif (pillow-heif); its container read in
heif.py.

10 and 12 bits stay what they were: samples are held in the upper bits of 16. A picture of tiles comes out in tiles of
that size, because decoders of cameras and telephones have limits for one coded picture.
"""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pillow_heif

from velum_pipeline.errors import CorruptMedia, StageFailed, UnsupportedMedia
from velum_pipeline.media import heif
from velum_pipeline.media.heif import dimensions, truncation
from velum_pipeline.media.kinds import HEIC
from velum_pipeline.media.picture import Encoding, Layout, Picture, Samples

__all__ = ["decode", "dimensions", "encode", "truncation"]

pillow_heif.options.THUMBNAILS = False
pillow_heif.options.DEPTH_IMAGES = False
pillow_heif.options.AUX_IMAGES = False
BROKEN = (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError)
"""What pillow-heif raises (its documentation, HeifFile); the last where libheif finds no picture in a file."""
PRESET = "ultrafast"
"""x265's speed: 0.26 s of CPU per megapixel; its default, "slow", takes 1.4 s for 15 % fewer bytes at 0.2 dB less."""
MAX_TILES = 900
"""A file may hold 1000 items for libheif; a finer grid is written as one coded picture."""


def decode(data: bytes) -> Picture:
    """The upright picture. Raises CorruptMedia, TruncatedMedia, UnsupportedMedia."""
    still = heif.read(data, b"hvc1")
    samples, layout = _samples(data, still)
    height, width = samples.shape[:2]
    if {width, height} != {still.dimensions.width, still.dimensions.height}:
        raise CorruptMedia(f"the HEIC announces {still.dimensions} and holds {width} x {height} pixels")
    encoding = Encoding(subsampling=still.subsampling, bits=still.bits, tile=still.tile)
    return Picture(HEIC, samples, layout, heif.metadata(still, layout, width, height), encoding)


def encode(picture: Picture, quality: int) -> bytes:
    """The picture as a HEIC file with its metadata. ``quality``: 1..100, 100 is x265's best lossy."""
    meta, encoding = picture.metadata, picture.encoding
    grey, chroma = picture.layout is Layout.GREY, encoding.subsampling.replace("400", "420")
    tiles = -(-picture.width // max(1, encoding.tile)) * -(-picture.height // max(1, encoding.tile))
    settings: dict[str, Any] = {"tile_size": encoding.tile if tiles <= MAX_TILES else 0, "bit_depth": encoding.bits}
    settings |= {name: value for name, value in (("exif", meta.exif), ("xmp", meta.xmp)) if value}
    if meta.icc:
        settings |= {"icc_profile": meta.icc, "icc_profile_type": "prof"}
    if meta.extra:
        settings["nclx_profile"] = _nclx(meta.extra)
    parameters = {"preset": PRESET} | ({} if grey else {"chroma": chroma})
    mode = {Layout.GREY: "L", Layout.BGR: "BGR", Layout.BGRA: "BGRA"}[picture.layout]
    buffer = io.BytesIO()
    try:
        pillow_heif.encode(
            f"{mode};16" if picture.native.dtype == np.uint16 else mode,
            (picture.width, picture.height),
            np.ascontiguousarray(picture.native).reshape(-1).view(np.uint8).data,
            buffer,
            quality=quality,
            enc_params=parameters,
            **settings,
        )
    except BROKEN as error:
        raise StageFailed(f"the HEIC encoder failed: {error}") from None
    return buffer.getvalue()


def _samples(data: bytes, still: heif.Still) -> tuple[Samples, Layout]:
    """Samples upright: libheif crops, turns and mirrors."""
    try:
        image = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, bgr_mode=True)
        samples = np.asarray(image)
        mode = image.mode.partition(";")[0]
    except BROKEN as error:
        raise CorruptMedia(f"the HEIC file does not decode: {error}") from None
    if mode == "LA":
        return np.asarray(cv2.merge([samples[..., 0]] * 3 + [samples[..., 1]])), Layout.BGRA
    layout = {"L": Layout.GREY, "I": Layout.GREY, "BGR": Layout.BGR, "BGRA": Layout.BGRA}.get(mode)
    if layout is None or samples.dtype != (np.uint8 if still.bits == 8 else np.uint16):
        raise UnsupportedMedia(f"HEIC samples of mode {image.mode} are not supported")
    return np.array(samples), layout


def _nclx(body: bytes) -> dict[str, int]:
    """How samples mean colours (ISO/IEC 23091-2), as pillow-heif wants it."""
    names = ("color_primaries", "transfer_characteristics", "matrix_coefficients")
    values = {name: int.from_bytes(body[at : at + 2], "big") for name, at in zip(names, (0, 2, 4), strict=True)}
    return values | {"full_range_flag": body[6] >> 7}
