"""Every picture that is anywhere in a file, found by its bytes and decoded by libraries other than the pipeline's.

Nothing of a container is believed: starts of JPEG, PNG, WebP, TIFF and HEIF are looked for at every offset; every
directory of a TIFF structure is opened as if it were the first, every item of a HEIF file as if it were the primary;
whatever inflates or reads as base64 or hexadecimal is searched again.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from support.corpus.scene import Array

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it is given many things that are no pictures
DEPTH = 3
"""How often one thing may be packed in another."""
STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|RIFF....WEBP|II\*\0|MM\0\*|(?=....ftyp)", re.DOTALL)
BROKEN = (Exception, Warning)  # any library's, on any bytes
TEXT = re.compile(rb"[A-Za-z0-9+/]{100,}={0,2}")
HEXADECIMAL = re.compile(rb"[0-9a-fA-F\n]{200,}")
INFLATED = 1 << 22
POINTERS = (0x014A, 0x8769, 0x8825, 0xA005)


@dataclass(frozen=True)
class Found:
    """A picture: where it was ("40/jpeg": at byte 40), and its samples as (H, W) or (H, W, C)."""

    where: str
    pixels: Array


def pictures(data: bytes, depth: int = DEPTH) -> Iterator[Found]:
    """Every picture in the bytes, the file's own among them."""
    for match in STARTS.finditer(data):
        at = match.start()
        yield from _at(data[at:], f"{at}")
    if depth:
        for name, inner in _unpacked(data):
            for found in pictures(inner, depth - 1):
                yield Found(f"{name}/{found.where}", found.pixels)


def _at(data: bytes, where: str) -> Iterator[Found]:
    if data[:4] in (b"II*\0", b"MM\0*"):
        yield from _directories(data, where)
    elif data[4:8] == b"ftyp":
        yield from _items(data, where)
    else:
        kind = {0xFF: "jpeg", 0x89: "png", 0x52: "webp"}[data[0]]
        yield from _read(data, f"{where}/{kind}", _opencv, _pillow)


def _read(data: bytes, where: str, *readers: Callable[[bytes], Array | None]) -> Iterator[Found]:
    """The picture as the first of the readers that can has it, if any can."""
    for reader in readers:
        pixels = reader(data)
        if pixels is not None:
            yield Found(where, pixels)
            return


def _opencv(data: bytes) -> Array | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _pillow(data: bytes) -> Array | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except BROKEN:
            return None
        if image.mode == "P":
            image = image.convert("RGBA")
        return np.asarray(image) if image.mode not in ("1", "CMYK") else np.asarray(image.convert("L"))


def _directories(data: bytes, where: str) -> Iterator[Found]:
    """Each directory that a chain or a pointer leads to, opened as the first one."""
    order = "<" if data[:2] == b"II" else ">"
    waiting, seen = [_number(data, order, "I", 4)], set()
    while waiting:
        at = waiting.pop()
        if not at or at in seen or at + 2 > len(data):
            continue
        seen.add(at)
        patched = data[:4] + struct.pack(order + "I", at) + data[8:]
        yield from _read(patched, f"{where}/ifd@{at}", _pillow, _opencv)
        count = _number(data, order, "H", at)
        for entry in range(at + 2, min(at + 2 + 12 * count, len(data) - 12), 12):
            tag, _, number = struct.unpack_from(order + "HHI", data, entry)
            if tag in POINTERS and number:
                place = entry + 8 if number == 1 else _number(data, order, "I", entry + 8)
                waiting += [_number(data, order, "I", place + 4 * index) for index in range(min(number, 16))]
        waiting.append(_number(data, order, "I", at + 2 + 12 * count))


def _number(data: bytes, order: str, code: str, at: int) -> int:
    return int(struct.unpack_from(order + code, data, at)[0]) if at + struct.calcsize(code) <= len(data) else 0


def _items(data: bytes, where: str) -> Iterator[Found]:
    """Each item that an ``infe`` box names, opened as the primary one."""
    primary = data.find(b"pitm")
    if primary < 0:
        return
    for match in re.finditer(rb"infe[\2\3]...", data, re.DOTALL):
        number = _number(data, ">", "H" if data[match.start() + 4] == 2 else "I", match.start() + 8)
        size = "H" if data[primary + 4] == 0 else "I"
        patched = data[: primary + 8] + struct.pack(">" + size, number) + data[primary + 8 + struct.calcsize(size) :]
        yield from _read(patched, f"{where}/item {number}", _heif, _pillow)


def _heif(data: bytes) -> Array | None:
    try:
        image = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
        return np.asarray(image)
    except BROKEN:
        return None


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What is within: inflated streams, texts in base64 (broken into lines in any way) and in hexadecimal."""
    for match in re.finditer(rb"[\x08\x18\x28\x38\x48\x58\x68\x78][\x01\x5e\x9c\xda]", data):
        try:
            inner = zlib.decompressobj().decompress(data[match.start() :], INFLATED)
        except zlib.error:
            continue
        if len(inner) > 64:
            yield f"{match.start()}:inflated", inner
    dense = re.sub(rb"&#(?:[xX]0*[aAdD]|10|13|9);|\s+", b"", data)
    for match in TEXT.finditer(dense):
        for skipped in range(4):
            body = match[0][skipped:].rstrip(b"=")
            yield f"{match.start()}:base64", base64.b64decode(body[: len(body) // 4 * 4])
    for match in HEXADECIMAL.finditer(data):
        text = match[0].replace(b"\n", b"")
        try:
            yield f"{match.start()}:hex", binascii.unhexlify(text[: len(text) // 2 * 2])
        except binascii.Error:
            continue
