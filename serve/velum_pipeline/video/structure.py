"""Whether a container reaches as far as it says: its outermost lengths against the file's own.

Only what a format promises can be checked. A transport stream promises nothing, and neither does a live Matroska file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from velum_pipeline.errors import TruncatedMedia
from velum_pipeline.media.kinds import AVI, MATROSKA, MOV, MP4, WEBM, MediaType

MAX_BOXES = 1_000_000
"""Outermost boxes that are looked at: a fragmented file has two for every second or so."""
SEGMENT = 0x18538067
EBML_HEADER = 0x1A45DFA3
EBML_VOID = 0xEC
"""Padding."""


def require_whole(media_type: MediaType, file: BinaryIO) -> None:
    """Raise TruncatedMedia where the file ends before its container does."""
    size = file.seek(0, os.SEEK_END)
    if media_type in (MP4, MOV):
        _boxes(file, size)
    elif media_type in (MATROSKA, WEBM):
        _ebml(file, size)
    elif media_type == AVI:
        _riff(file, size)


def _boxes(file: BinaryIO, size: int) -> None:
    """ISO/IEC 14496-12, 4.2: size and type; the index of all samples is in a box named moov."""
    seen: set[bytes] = set()
    for kind, end in _outermost(file, size):
        if end > size:
            name = kind.decode("latin-1")
            raise TruncatedMedia(f"the file ends {end - size} bytes before the end of its box {name}")
        seen.add(kind)
    if b"moov" not in seen:
        raise TruncatedMedia("the file has no index (box moov): its recording was not finished")


def _outermost(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > size:
            return
        head = _bytes(file, at, 16)
        length, least = int.from_bytes(head[:4], "big"), 8
        if length == 1 and len(head) == 16:
            length, least = int.from_bytes(head[8:], "big"), 16
        elif length == 0:
            length = size - at
        if length < least:  # not a box: some writers leave zeros or text behind the last one
            return
        at += length
        yield head[4:8], at


def _ebml(file: BinaryIO, size: int) -> None:
    """RFC 8794, 4 and 5: identifier and size, both of a length that their first byte tells."""
    at = 0
    while at < size:
        head = _bytes(file, at, 12)
        kind, width = _number(head, keep_marker=True)
        length, more = _number(head[width:], keep_marker=False)
        if not width or not more:
            return
        start = at + width + more
        if kind == SEGMENT:
            unknown = length == (1 << 7 * more) - 1
            if not unknown and start + length > size:
                raise TruncatedMedia(f"the file ends {start + length - size} bytes before the end of its segment")
            return
        if kind not in (EBML_HEADER, EBML_VOID):
            return
        at = start + length
    raise TruncatedMedia("the file ends before its segment begins")


def _number(head: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML number and its width in bytes; width 0 when there is none."""
    if not head or not head[0]:
        return 0, 0
    width = 9 - head[0].bit_length()
    if len(head) < width:
        return 0, 0
    value = int.from_bytes(head[:width], "big")
    return (value if keep_marker else value & (1 << 7 * width) - 1), width


def _riff(file: BinaryIO, size: int) -> None:
    """RIFF: a file larger than a GiB is several chunks in a row (OpenDML). A length of 0 was never filled in."""
    at = 0
    while at + 12 <= size:
        head = _bytes(file, at, 8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or length in (0, 0xFFFFFFFF):
            return
        at += 8 + length
        if at > size:
            raise TruncatedMedia(f"the file ends {at - size} bytes before the end of its RIFF chunk")
        at += at % 2


def _bytes(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
