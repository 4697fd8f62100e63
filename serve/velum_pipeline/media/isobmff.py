"""The boxes of ISO base media files, and what a HEIF file's ``meta`` box says of its items.

ISO/IEC 14496-12 and 23008-12. Only structure is read here, never samples: which items there are, of what type, with
which properties, where their bytes lie, and how they refer to each other. Nothing is trusted: a box that reaches past
its parent, or a table that ends early, is a BoxError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_ITEMS = 4096
"""A telephone's picture of 48 megapixels has some 200 tiles; libheif takes 1000."""
MAX_EXTENTS = 16_384
"""Of all items together: a table of extents without offsets and lengths takes no bytes, and could go on for ever."""
MAX_BOXES = 16_384
"""Side by side: more than items and their references need. An empty box has 8 bytes, so a file can hold millions."""
IN_FILE, IN_IDAT = 0, 1
"""Where an extent's offset counts from: the file's start, or the start of the ``idat`` box."""


class BoxError(ValueError):
    """The bytes are not sound boxes."""


@dataclass(frozen=True)
class Box:
    """One box: its type, and where its body starts and ends."""

    kind: bytes
    start: int
    end: int


@dataclass
class Item:
    """One item. ``properties``: (type, body) in the order they apply; ``extents``: (offset, length) of its bytes."""

    kind: bytes = b""
    content_type: bytes = b""
    hidden: bool = False
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    method: int = IN_FILE
    extents: list[tuple[int, int]] = field(default_factory=list)

    def property(self, kind: bytes) -> bytes | None:
        """The body of the first property of that type."""
        return next((body for name, body in self.properties if name == kind), None)


@dataclass
class Items:
    """The items of a file. ``references``: (type, from, to); ``idat``: the small data box within ``meta``."""

    primary: int = 0
    items: dict[int, Item] = field(default_factory=dict)
    references: list[tuple[bytes, int, tuple[int, ...]]] = field(default_factory=list)
    idat: bytes = b""

    def referred(self, kind: bytes, source: int) -> tuple[int, ...]:
        """The items that one refers to in this way."""
        return next((to for name, at, to in self.references if (name, at) == (kind, source)), ())

    def bytes_of(self, item: Item, data: bytes) -> bytes:
        """An item's bytes, of a file's. Raises BoxError where they are not within it."""
        held = {IN_FILE: data, IN_IDAT: self.idat}.get(item.method)
        if held is None or any(start + length > len(held) for start, length in item.extents):
            raise BoxError("an item lies outside the file")
        spans = [(start, start + length if length else len(held)) for start, length in item.extents]
        if sum(end - start for start, end in spans) > len(held):
            raise BoxError("an item is longer than the file")
        return b"".join(held[start:end] for start, end in spans)


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes between two places. The last one of a file may reach past the data; any other raises BoxError."""
    limit = len(data) if end is None else end
    found = 0
    while start + 8 <= limit:
        found += 1
        if found > MAX_BOXES:
            raise BoxError(f"more than {MAX_BOXES} boxes side by side")
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1 and body + 8 <= limit:
            size, body = struct.unpack_from(">Q", data, body)[0], body + 8
        stop = start + size if size else limit
        if stop < body or (end is not None and stop > end):
            raise BoxError(f"a box ({kind!r}) does not fit where it stands")
        yield Box(kind, body, stop)
        start = stop


def meta_box(data: bytes) -> Box | None:
    """The ``meta`` box of a file; None where it is not wholly within these bytes."""
    found = next((box for box in boxes(data) if box.kind == b"meta"), None)
    return found if found and found.end <= len(data) else None


def items(data: bytes, meta: Box) -> Items:
    """What the meta box holds. Raises BoxError."""
    found, block = Items(), data[meta.start : meta.end]
    parts = {box.kind: box for box in boxes(block, 4, len(block))}
    if b"idat" in parts:
        found.idat = block[parts[b"idat"].start : parts[b"idat"].end]
    for kind, read in (
        (b"pitm", _primary), (b"iinf", _infos), (b"iloc", _locations), (b"iprp", _properties), (b"iref", _references)
    ):  # fmt: skip
        if kind in parts:
            read(found, block, parts[kind])
    return found


class _Reader:
    """Big-endian integers of any size, one after the other, within a box. Raises BoxError at its end."""

    def __init__(self, data: bytes, box: Box) -> None:
        self.data = data
        self.at = box.start
        self.end = box.end

    def number(self, size: int) -> int:
        if self.at + size > self.end:
            raise BoxError("a table of items ends early")
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return value

    def head(self) -> tuple[int, int]:
        """Version and flags of a full box."""
        return self.number(1), self.number(3)


def _item(found: Items, number: int) -> Item:
    if len(found.items) >= MAX_ITEMS and number not in found.items:
        raise BoxError(f"more than {MAX_ITEMS} items")
    return found.items.setdefault(number, Item())


def _primary(found: Items, data: bytes, box: Box) -> None:
    reader = _Reader(data, box)
    version, _ = reader.head()
    found.primary = reader.number(4 if version else 2)


def _infos(found: Items, data: bytes, box: Box) -> None:
    reader = _Reader(data, box)
    version, _ = reader.head()
    reader.number(4 if version else 2)
    for entry in boxes(data, reader.at, box.end):
        part = _Reader(data, entry)
        own, flags = part.head()
        if entry.kind != b"infe" or own < 2:
            continue
        item = _item(found, part.number(4 if own > 2 else 2))
        part.number(2)  # protection
        item.kind, item.hidden = part.number(4).to_bytes(4, "big"), bool(flags & 1)
        names = data[part.at : entry.end].split(b"\0")
        item.content_type = names[1] if item.kind == b"mime" and len(names) > 1 else b""


def _locations(found: Items, data: bytes, box: Box) -> None:
    reader, room = _Reader(data, box), MAX_EXTENTS
    version, _ = reader.head()
    sizes, more = reader.number(1), reader.number(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    for _ in range(reader.number(4 if version > 1 else 2)):
        item = _item(found, reader.number(4 if version > 1 else 2))
        item.method = reader.number(2) & 15 if version else IN_FILE
        reader.number(2)  # data reference
        base, count = reader.number(base_size), reader.number(2)
        room -= count
        if room < 0:
            raise BoxError(f"more than {MAX_EXTENTS} pieces")
        for _ in range(count):
            reader.number(index_size)
            start = base + reader.number(offset_size)
            item.extents.append((start, reader.number(length_size)))


def _properties(found: Items, data: bytes, box: Box) -> None:
    known: list[tuple[bytes, bytes]] = []
    for part in boxes(data, box.start, box.end):
        if part.kind == b"ipco":
            known = [(each.kind, data[each.start : each.end]) for each in boxes(data, part.start, part.end)]
        elif part.kind == b"ipma":
            _associations(found, known, _Reader(data, part))


def _associations(found: Items, known: list[tuple[bytes, bytes]], reader: _Reader) -> None:
    version, flags = reader.head()
    size = 2 if flags & 1 else 1
    for _ in range(reader.number(4)):
        item = _item(found, reader.number(4 if version else 2))
        for _ in range(reader.number(1)):
            index = reader.number(size) & (0x7FFF if flags & 1 else 0x7F)
            if index > len(known):
                raise BoxError(f"property {index} of {len(known)} is named")
            if index:
                item.properties.append(known[index - 1])


def _references(found: Items, data: bytes, box: Box) -> None:
    reader = _Reader(data, box)
    size = 4 if reader.head()[0] else 2
    for entry in boxes(data, reader.at, box.end):
        part = _Reader(data, entry)
        source = part.number(size)
        found.references.append((entry.kind, source, tuple(part.number(size) for _ in range(part.number(2)))))
