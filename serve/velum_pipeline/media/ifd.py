"""TIFF directories (IFDs), read and written: the structure of TIFF files and of EXIF blocks (TIFF 6.0, section 2).

A directory is kept as raw values in the file's byte order, so that what is not understood comes out as it went in.
Reading never trusts an offset or a count, and loses as little as it can: only a broken first directory is an error.
A value that lies outside the data is left out and its tag noted; a child or a further page that cannot be read is not
there. Cameras and editors leave such pointers behind, and the orientation beside them must still count. Pointers are
followed only where they belong, so nothing can nest. What is read is bounded by the length of the data, whatever
entries overlap.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes per value of each TIFF field type."""
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
SIGNED_RATIONAL, FLOAT, DOUBLE, IFD = 10, 11, 12, 13
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
POINTERS = (EXIF_POINTER, GPS_POINTER, INTEROP_POINTER)
BELOW = {EXIF_POINTER: (INTEROP_POINTER,), GPS_POINTER: (), INTEROP_POINTER: ()}
"""Which pointers a child may hold (Exif 2.32, 4.6.3); a page may hold the other two."""
MAX_ENTRIES = 4096
"""Of a whole tree. The longest known EXIF block has some 300, a page of a TIFF some 40."""
MAX_PAGES = 64
SHARED = 2
"""Times the length of the data: what all values may add up to.

Sound values do not overlap, save for a few that share one resolution.
"""


class IfdError(ValueError):
    """The bytes are not a sound directory."""


@dataclass
class Entry:
    """One field: its type number, how many values, and their bytes in the tree's order."""

    kind: int
    count: int
    raw: bytes


@dataclass
class Ifd:
    """A directory: fields by tag, and the directories that the known pointer tags lead to.

    ``unread``: tags whose values or directories lie outside the data, or are too much of it.
    """

    entries: dict[int, Entry] = field(default_factory=dict)
    children: dict[int, Ifd] = field(default_factory=dict)
    unread: set[int] = field(default_factory=set, compare=False)


@dataclass
class Tree:
    """A byte order (``<`` or ``>``) and the chain of directories.

    Pages of a TIFF; picture and thumbnail of an EXIF block.
    """

    order: str
    pages: list[Ifd]

    def number(self, ifd: Ifd, tag: int) -> int | None:
        """The first value of an integer field, or None."""
        values = self.numbers(ifd, tag)
        return values[0] if values else None

    def numbers(self, ifd: Ifd, tag: int) -> tuple[int, ...]:
        """All values of an integer field; empty when it is absent or of another type."""
        entry = ifd.entries.get(tag)
        code = {BYTE: "B", SHORT: "H", LONG: "I"}.get(entry.kind) if entry else None
        return struct.unpack(f"{self.order}{entry.count}{code}", entry.raw) if entry and code else ()

    def put(self, ifd: Ifd, tag: int, *values: int, kind: int = SHORT) -> None:
        """Set an integer field."""
        code = {BYTE: "B", SHORT: "H", LONG: "I"}[kind]
        ifd.entries[tag] = Entry(kind, len(values), struct.pack(f"{self.order}{len(values)}{code}", *values))


def parse(data: bytes) -> Tree:
    """Read a TIFF structure from its byte-order mark on. Raises IfdError when its first directory is broken."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]))
    if order is None:
        raise IfdError("no TIFF header")
    reader = _Reader(data, order)
    first, offset = reader.directory(_unpack(order, "I", data, 4))
    pages = [first]
    while offset and len(pages) < MAX_PAGES:
        try:
            page, offset = reader.directory(offset)
        except IfdError:
            break
        pages.append(page)
    return Tree(order, pages)


def find(data: bytes, tag: int) -> int | None:
    """Where the value of a short field of the first directory is stored, as an offset into data.

    None when it is absent.
    """
    order = "<" if data[:2] == b"II" else ">"
    start = _unpack(order, "I", data, 4)
    for index in range(_unpack(order, "H", data, start)):
        if _unpack(order, "H", data, start + 2 + 12 * index) == tag:
            return start + 2 + 12 * index + 8
    return None


def serialise(tree: Tree, thumbnail: bytes | None = None) -> bytes:
    """Write the structure afresh.

    ``thumbnail``: JPEG bytes for a second directory, in place of whatever pages follow the first.
    """
    out = bytearray((b"II*\0" if tree.order == "<" else b"MM\0*") + struct.pack(tree.order + "I", 8))
    end = _write(out, tree, tree.pages[0])
    if thumbnail is not None:
        struct.pack_into(tree.order + "I", out, end, len(out))
        second = Ifd()
        tree.put(second, 0x0103, 6)
        for tag, value in ((0x0201, 0), (0x0202, len(thumbnail))):
            tree.put(second, tag, value, kind=LONG)
        start = len(out)
        _write(out, tree, second)
        where = start + 2 + 12 * sorted(second.entries).index(0x0201) + 8
        struct.pack_into(tree.order + "I", out, where, len(out))
        out += thumbnail
    return bytes(out)


class _Reader:
    """Reads directories of one block: where it has been, and how much it may still take."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data = data
        self.order = order
        self.seen: set[int] = set()
        self.entries_left = MAX_ENTRIES
        self.bytes_left = SHARED * len(data)

    def directory(self, offset: int, pointers: tuple[int, ...] = (EXIF_POINTER, GPS_POINTER)) -> tuple[Ifd, int]:
        """The directory at an offset, and the offset of the next one (0: none). Raises IfdError when it is broken."""
        if offset in self.seen:
            raise IfdError("directories form a loop")
        self.seen.add(offset)
        count = _unpack(self.order, "H", self.data, offset)
        if count > self.entries_left:
            raise IfdError(f"{count} entries")
        self.entries_left -= count
        following = offset + 2 + 12 * count
        if following > len(self.data):
            raise IfdError("the directory reaches past the end")
        ifd = Ifd()
        for at in range(offset + 2, following, 12):
            self._field(ifd, at, pointers)
        more = following + 4 <= len(self.data)
        return ifd, _unpack(self.order, "I", self.data, following) if more else 0

    def _field(self, ifd: Ifd, at: int, pointers: tuple[int, ...]) -> None:
        tag, kind, number = struct.unpack_from(self.order + "HHI", self.data, at)
        if kind not in SIZES:
            return
        if tag in POINTERS:
            if tag in pointers and kind in (LONG, IFD) and number == 1:
                self._child(ifd, tag, _unpack(self.order, "I", self.data, at + 8))
            return
        length = SIZES[kind] * number
        start = at + 8 if length <= 4 else _unpack(self.order, "I", self.data, at + 8)
        if start + length > len(self.data) or length > self.bytes_left:
            ifd.unread.add(tag)
            return
        self.bytes_left -= length
        ifd.entries[tag] = Entry(kind, number, bytes(self.data[start : start + length]))

    def _child(self, ifd: Ifd, tag: int, offset: int) -> None:
        try:
            ifd.children[tag] = self.directory(offset, BELOW[tag])[0]
        except IfdError:
            ifd.unread.add(tag)


def _write(out: bytearray, tree: Tree, ifd: Ifd) -> int:
    """Append a directory with its values and children; the offset of its next-directory field is returned."""
    tags = sorted({*ifd.entries, *ifd.children})
    start = len(out)
    out += struct.pack(tree.order + "H", len(tags)) + bytes(12 * len(tags) + 4)
    for index, tag in enumerate(tags):
        at = start + 2 + 12 * index
        if tag in ifd.children:
            struct.pack_into(tree.order + "HHII", out, at, tag, LONG, 1, len(out))
            _write(out, tree, ifd.children[tag])
            continue
        entry = ifd.entries[tag]
        struct.pack_into(tree.order + "HHI", out, at, tag, entry.kind, entry.count)
        if len(entry.raw) <= 4:
            out[at + 8 : at + 8 + len(entry.raw)] = entry.raw
        else:
            struct.pack_into(tree.order + "I", out, at + 8, len(out))
            out += entry.raw + bytes(len(entry.raw) % 2)
    return start + 2 + 12 * len(tags)


def _unpack(order: str, code: str, data: bytes, offset: int) -> int:
    try:
        return int(struct.unpack_from(order + code, data, offset)[0])
    except struct.error:
        raise IfdError("the directory reaches past the end") from None
