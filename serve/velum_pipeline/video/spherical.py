"""How a panorama is to be seen, as the source's track says it: boxes that go into the copy's track unread.

Pictures all around have a projection (sv3d of Google's Spherical Video V2, or V1's XML in a uuid box), and maybe two
eyes (st3d). Without it a player shows the sphere rolled out flat.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO

from velum_pipeline.media.kinds import MOV, MP4
from velum_pipeline.video.description import Video
from velum_pipeline.video.source import Opener

LARGEST_MOOV = 2**26
"""Bytes that are looked through; ten hours of video have less."""
LARGEST_BOX = 2**16
SAMPLE_ENTRY_HEADER, STSD_HEADER, TKHD_ID = 86, 16, {0: 20, 1: 28}
"""Bytes before a visual sample entry's boxes, before a sample description's entries, and before a track header's id by
its version (ISO/IEC 14496-12)."""
WANTED = (b"st3d", b"sv3d")
SPHERICAL_V1 = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
Span = tuple[bytes, int, int]


def boxes(opener: Opener, video: Video, track: int) -> bytes:
    """The boxes of the track with this id, one after the other; empty where there are none, or no mp4."""
    if video.media_type not in (MP4, MOV):
        return b""
    with closing(opener()) as file:
        moov = _moov(file)
    for name, start, stop in _children(moov, 8, len(moov)):
        if name == b"trak" and _id(moov, start, stop) == track:
            return b"".join(moov[at - 8 : end] for at, end in _found(moov, start, stop) if end - at < LARGEST_BOX)
    return b""


def _moov(file: BinaryIO) -> bytes:
    at = 0
    while len(head := _read(file, at, 16)) >= 8:
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            return _read(file, at, min(size, LARGEST_MOOV)) if size else b""
        if size < 8:
            break
        at += size
    return b""


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _children(data: bytes, start: int, stop: int) -> Iterator[Span]:
    """Name, and where the content begins and ends."""
    while start + 8 <= stop:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8 or start + size > stop:
            return
        yield data[start + 4 : start + 8], start + 8, start + size
        start += size


def _within(data: bytes, path: tuple[bytes, ...], start: int, stop: int) -> tuple[int, int] | None:
    for wanted in path:
        span = next(((at, end) for name, at, end in _children(data, start, stop) if name == wanted), None)
        if span is None:
            return None
        start, stop = span
    return start, stop


def _id(data: bytes, start: int, stop: int) -> int | None:
    header = _within(data, (b"tkhd",), start, stop)
    if header is None or header[0] == header[1] or data[header[0]] not in TKHD_ID:
        return None
    at = header[0] + TKHD_ID[data[header[0]]] - 8
    return int.from_bytes(data[at : at + 4], "big")


def _found(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    for name, at, end in _children(data, start, stop):
        if name == b"uuid" and data[at : at + 16] == SPHERICAL_V1:
            yield at, end
    table = _within(data, (b"mdia", b"minf", b"stbl", b"stsd"), start, stop)
    if table is not None:
        entry = table[0] + STSD_HEADER - 8
        end_of_entry = min(entry + int.from_bytes(data[entry : entry + 4], "big"), table[1])
        for name, at, end in _children(data, entry + SAMPLE_ENTRY_HEADER, end_of_entry):
            if name in WANTED:
                yield at, end
