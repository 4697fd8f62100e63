"""What a file shows and carries, by Pillow, by cv2 for deep colours, and by libheif."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from support.corpus.metadata import LATITUDE, MAKER
from support.corpus.scene import Array


@dataclass(frozen=True)
class Shown:
    """pixels: grey, BGR or BGRA uint8. mode, bits: as an Entry has them. The rest: what metadata there is."""

    pixels: Array
    mode: str
    bits: int
    icc: bytes | None
    exif: bytes


def shown(data: bytes, form: str) -> Shown:
    """Decode a file of that format; it must be whole, upright and nothing else."""
    if form == "heic":
        return _heic(data)
    with Image.open(io.BytesIO(data), formats=[form]) as image:
        image.load()
        block = image.getexif()
        assert block.get(0x0112, 1) == 1
        bits, icc, exif = 8, image.info.get("icc_profile"), _exif(data, image)
        mode = image.mode.replace("I;16B", "I;16")
        pixels = np.asarray(image.convert("RGB") if mode == "P" else image)
        if mode == "CMYK":
            inks = 255 - pixels.astype(np.uint16)
            pixels = (inks[..., :3] * inks[..., 3:] / 255).astype(np.uint8)
    if form in ("png", "tiff"):  # Pillow shows deep colours as shallow ones
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if deep is not None and deep.dtype == np.uint16:
            return Shown((deep / 257).round().astype(np.uint8), mode, 16, icc, exif)
    return Shown(_blue_first(pixels), mode, bits, icc, exif)


def _heic(data: bytes) -> Shown:
    image = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
    assert len(image) == 1
    pixels = np.asarray(image)
    pixels = (pixels / 257).round().astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    mode = {"I": "L"}.get(image.mode.partition(";")[0], image.mode.partition(";")[0])
    info = image.info
    return Shown(_blue_first(pixels), mode, int(info["bit_depth"]), info.get("icc_profile"), info["exif"] or b"")


def _blue_first(pixels: Array) -> Array:
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])


def _exif(data: bytes, image: Image.Image) -> bytes:
    return data if image.format == "TIFF" else image.info.get("exif", b"")


def has_camera(exif: bytes) -> bool:
    """Whether the maker, the date and the exact position are there, in either byte order."""
    position = any(struct.pack(order + "6I", *LATITUDE) in exif for order in "<>")
    return MAKER in exif and b"2024:01:02 03:04:05" in exif and position


def has_rights(data: bytes) -> bool:
    """Whether the XMP packet is there."""
    return re.search(rb'<x:xmpmeta[^>]*>.*dc:rights="Ada".*</x:xmpmeta>', data, re.DOTALL) is not None
