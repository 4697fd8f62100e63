"""Which fields of a directory may stay: those that cannot hold a picture, nor the name of a person.

Known fields may hold what their specification says they hold. Of an unknown one only a handful of numbers or a plain
text is kept: raw samples need no header to be a picture, and a face of 16 x 16 pixels is 768 bytes.
"""

from __future__ import annotations

import re

from velum_pipeline.media.ifd import ASCII, DOUBLE, FLOAT, IFD, RATIONAL, SIGNED_RATIONAL, Entry

MAX_UNKNOWN = 64
"""Bytes of an unknown field that is no text: eight rationals, or 21 pixels."""
MAX_OPAQUE = 1024
"""Bytes of a known field that is no text: the longest documented opaque EXIF value (a CFA pattern) is smaller."""
MAX_READABLE = 8192
"""Bytes of a text or of measured numbers: descriptions and map projections fit."""
MIN_RUN = 200
"""Characters of base64 (or hexadecimal) in a row: a digest or a signature has fewer, a picture has more."""
DROPPED = frozenset({
    0x014A,  # SubIFDs: previews of raw files
    0x02BC,  # XMP: judged on its own
    0x83BB,  # IPTC: may hold a preview (2:202)
    0x8649,  # Photoshop resources: hold a thumbnail
    0x8773,  # ICC: carried on its own
    0x927C,  # MakerNote
    0x935C,  # Photoshop layers
    0x9C9E,  # XPKeywords: where Windows and photo libraries put the names of persons
    0xC634,  # DNG private data
})  # fmt: skip
KNOWN = frozenset({
    0x001B, 0x001C,  # GPS: the method's and the area's name
    0x012D, 0x013E, 0x013F,  # colour
    0x9000, 0x9101, 0x9286, 0xA000, 0xA20C, 0xA300, 0xA301, 0xA302, 0xA40B, 0xA460, 0xA461, 0xA462,
    0x8828, 0xC4A5,  # OECF; print image matching
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9F,  # Windows' title, comment, author, subject
    0x830E, 0x8482, 0x85D8, 0x87AF, 0x87B0, 0xC69C,  # GeoTIFF and satellites: where the picture lies
})  # fmt: skip
"""Tags whose opaque or long numeric values are documented (Exif 2.32, 4.6; TIFF 6.0; GeoTIFF 1.1)."""
WINDOWS_TEXTS = frozenset({0x9C9B, 0x9C9C, 0x9C9D, 0x9C9F})
USER_COMMENT = 0x9286
ENCODED = re.compile(rb"[A-Za-z0-9+/=_-]{%d}" % MIN_RUN)
PICTURE = re.compile(rb"\xff\xd8\xff|\x89PNG|RIFF.{4}WEBP|ftyp", re.DOTALL)
"""How JPEG, PNG, WebP and the HEIF family start."""
CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Bytes that no text has: what stands in a text field with them is something else. A zero may part two texts."""
REFERENCE = re.compile(rb"&#(?:[xX]0*([0-9a-fA-F]{1,6})|0*([0-9]{1,7}));")
"""An XML character reference: a line break of a base64 text is often written as one."""


def may_stay(tag: int, entry: Entry) -> bool:
    """Whether a field is harmless, by its tag, its type and its value."""
    if tag in DROPPED or entry.kind == IFD or PICTURE.search(entry.raw):
        return False
    if entry.kind == ASCII:
        return len(entry.raw) <= MAX_READABLE and _is_text(entry.raw)
    if tag not in KNOWN:
        return len(entry.raw) <= MAX_UNKNOWN
    if tag in WINDOWS_TEXTS:
        return len(entry.raw) <= MAX_READABLE and _is_wide_text(entry.raw)
    if tag == USER_COMMENT:
        return len(entry.raw) <= MAX_OPAQUE and _is_comment(entry.raw)
    readable = entry.kind in (RATIONAL, SIGNED_RATIONAL, FLOAT, DOUBLE)
    return len(entry.raw) <= (MAX_READABLE if readable else MAX_OPAQUE)


def dense(text: bytes) -> bytes:
    """The text with its character references resolved and without white space."""
    return b"".join(REFERENCE.sub(_referred, text).split())


def holds_encoded(text: bytes) -> bool:
    """Whether a text, its white space aside, has a run that could be a picture in base64."""
    return ENCODED.search(dense(text)) is not None


def _is_text(raw: bytes) -> bool:
    """ASCII or UTF-8; in any other encoding only as long as a name (cameras write Latin-1 and Shift JIS)."""
    if CONTROL.search(raw) or holds_encoded(raw):
        return False
    try:
        raw.decode()
    except UnicodeDecodeError:
        return len(raw) <= MAX_UNKNOWN
    return True


def _is_wide_text(raw: bytes) -> bool:
    """UTF-16 as Windows writes it."""
    try:
        text = raw.decode("utf-16-le").rstrip("\0")
    except UnicodeDecodeError:
        return False
    return all(sign.isprintable() or sign.isspace() for sign in text) and not holds_encoded(text.encode())


def _is_comment(raw: bytes) -> bool:
    """A user comment (Exif 2.32, 4.6.5 C): eight bytes of encoding, then text; cameras pad with zeros or blanks."""
    code, body = raw[:8], raw[8:].rstrip(b"\0 ")
    if code == b"UNICODE\0":
        return any(_is_wide_text(body[start:] + b"\0" * ((len(body) - start) % 2)) for start in (0, 1))
    return code in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8)) and _is_text(body)


def _referred(match: re.Match[bytes]) -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(code).encode("utf-8", "replace") if code <= 0x10FFFF else b""
