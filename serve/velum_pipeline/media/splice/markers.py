"""A JPEG file's structure read from its markers, with the entropy-coded data cleaned of stuffing and restart markers.

Only what Huffman-coded 8-bit files of the sequential and progressive processes have is read; anything else is refused
with an OptionError that names ``lossless``, because without that option the file can be worked on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice.frame import (
    APP0,
    APP14,
    BASELINE,
    DAC,
    DHT,
    DNL,
    DQT,
    DRI,
    EOI,
    EXTENDED,
    PROGRESSIVE,
    SOI,
    SOS,
    Bytes,
    Code,
    Component,
    Frame,
    Scan,
    refused,
)

HUFFMAN_FRAMES = (BASELINE, EXTENDED, PROGRESSIVE)
FRAMES = tuple(code for code in range(0xC0, 0xD0) if code not in (DHT, 0xC8, DAC))
JFIF_BYTES, ADOBE_BYTES = 14, 12
MAX_SAMPLING = 4
MAX_SCANS = 64
"""Common files have one to twelve; many more are a way to spend a server's time."""


class _Reader:
    """Walks the markers of one file up to its end marker; what follows that is not looked at."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.frame: Frame | None = None
        self.tables: dict[int, NDArray[np.uint16]] = {}
        self.codes: dict[tuple[int, int], Code] = {}
        self.interval = 0
        self.jfif = False
        self.adobe: int | None = None

    def read(self) -> Frame:
        position = 2
        while True:
            position = self.data.find(b"\xff", position) + 1
            if not 0 < position < len(self.data):
                raise refused("it has no end marker")
            code = self.data[position]
            if code in (0, 0x01, 0xFF) or 0xD0 <= code <= SOI:
                continue
            if code == EOI:
                break
            length = int.from_bytes(self.data[position + 1 : position + 3], "big")
            start, position = position + 3, position + 1 + length
            if length < 2 or position > len(self.data):
                raise refused("a segment reaches past its end")
            body = self.data[start:position]
            if code == SOS:
                position = self._scan(body, position)
            else:
                self._segment(code, body)
        if self.frame is None or not self.frame.scans:
            raise refused("it has no scan")
        self.frame.jfif, self.frame.adobe = self.jfif, self.adobe
        return self.frame

    def _segment(self, code: int, body: bytes) -> None:
        if code in FRAMES:
            if self.frame is not None:
                raise refused("it has two frames")
            self.frame = _frame(code, body)
        elif code == DQT:
            self._quantisation(body)
        elif code == DHT:
            self._huffman(body)
        elif code == DRI and len(body) >= 2:
            self.interval = int.from_bytes(body[:2], "big")
        elif code == DNL:
            raise refused("its height is given after its data")
        elif self.frame is None or not self.frame.scans:  # after the first scan they no longer count for colours
            self._application(code, body)

    def _application(self, code: int, body: bytes) -> None:
        if code == APP0 and body.startswith(b"JFIF\0") and len(body) >= JFIF_BYTES:
            self.jfif = True
        elif code == APP14 and body.startswith(b"Adobe"):
            if len(body) < ADOBE_BYTES:
                raise refused("its Adobe segment is broken")
            self.adobe = body[ADOBE_BYTES - 1]

    def _quantisation(self, body: bytes) -> None:
        while body:
            wide, number = body[0] >> 4, body[0] & 15
            size = 128 if wide else 64
            if number > 3 or len(body) <= size:
                raise refused("a quantisation table is broken")
            values = np.frombuffer(body[1 : 1 + size], ">u2" if wide else np.uint8).astype(np.uint16)
            if not values.all():
                raise refused("a quantisation table holds zeros")
            held = self.tables.get(number)
            late = self.frame is not None and bool(self.frame.scans)
            if late and (held is None or not np.array_equal(held, values)):
                raise refused("a quantisation table changes between scans")
            self.tables[number] = values
            body = body[1 + size :]

    def _huffman(self, body: bytes) -> None:
        while body:
            total = sum(body[1:17])
            if len(body) < 17 + total or total > 256:
                raise refused("a Huffman table is broken")
            self.codes[body[0] >> 4, body[0] & 15] = Code(body[1:17], body[17 : 17 + total])
            body = body[17 + total :]

    def _scan(self, body: bytes, position: int) -> int:
        frame = self.frame
        if frame is None or len(body) < 6 or len(body) < 4 + 2 * body[0] or len(frame.scans) >= MAX_SCANS:
            raise refused("a scan's header is broken")
        numbers = {each.identifier: number for number, each in enumerate(frame.components)}
        chosen = [(body[1 + 2 * each], body[2 + 2 * each]) for each in range(body[0])]
        if not chosen or any(identifier not in numbers for identifier, _ in chosen):
            raise refused("a scan names no component of its frame")
        for identifier, _ in chosen:
            table = frame.components[numbers[identifier]].table
            if table not in self.tables:
                raise refused("a quantisation table is missing")
            frame.quantisation.setdefault(table, self.tables[table])
        first, last, bits = body[1 + 2 * len(chosen) : 4 + 2 * len(chosen)]
        end, data, starts = _entropy(self.data, position)
        frame.scans.append(
            Scan(
                components=tuple(numbers[identifier] for identifier, _ in chosen),
                dc=tuple(self.codes.get((0, which >> 4)) for _, which in chosen),
                ac=tuple(self.codes.get((1, which & 15)) for _, which in chosen),
                first=first,
                last=last,
                high=bits >> 4,
                low=bits & 15,
                interval=self.interval,
                data=data,
                starts=starts,
            )
        )
        return end


def read(data: bytes) -> Frame:
    """Read a file's structure. Raises OptionError for what is no Huffman-coded 8-bit JPEG, or broken."""
    return _Reader(data).read()


def _frame(code: int, body: bytes) -> Frame:
    if code not in HUFFMAN_FRAMES:
        raise refused("it is coded by another process than baseline, extended or progressive with Huffman codes")
    if len(body) < 6 or body[0] != 8 or len(body) < 6 + 3 * body[5] or body[5] not in (1, 3, 4):
        raise refused("it has other than 8 bits per sample, or two or more than four components")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    rows = [body[6 + 3 * each : 9 + 3 * each] for each in range(body[5])]
    factors = [(each[1] >> 4, each[1] & 15) for each in rows]
    if not (width and height) or any(not 1 <= factor <= MAX_SAMPLING for pair in factors for factor in pair):
        raise refused("its frame header is broken")
    widest, tallest = (max(pair[axis] for pair in factors) for axis in (0, 1))
    if any(widest % across or tallest % down for across, down in factors):
        raise refused("its sampling factors are no multiples of each other")
    if len(rows) == 1:  # a lone component is never interleaved: its factors mean nothing (T.81, A.2.2)
        factors, widest, tallest = [(1, 1)], 1, 1
    wide, high = -(-width // (8 * widest)), -(-height // (8 * tallest))
    components: list[Component] = []
    first = 0
    for row, (across, down) in zip(rows, factors, strict=True):
        blocks = -(-width * across // (8 * widest)), -(-height * down // (8 * tallest))
        components.append(Component(row[0], across, down, row[2], *blocks, wide * across, high * down, first))
        first += wide * across * high * down
    return Frame(code, width, height, tuple(components))


def _entropy(data: bytes, start: int) -> tuple[int, Bytes, list[int]]:
    """Where the entropy-coded data from ``start`` end, the data without stuffing, and the bits of its intervals."""
    raw = np.frombuffer(data, np.uint8, offset=start)
    marks = np.flatnonzero(raw[:-1] == 0xFF)
    after = raw[marks + 1]
    ends = marks[(after != 0) & ((after & 0xF8) != 0xD0) & (after != 0xFF)]
    if not ends.size:
        raise refused("a scan has no end")
    end = int(ends[0])
    marks, after = marks[marks < end], after[marks < end]
    keep = np.ones(end, bool)
    keep[marks[after == 0] + 1] = False  # the zero of a stuffed byte
    keep[marks[after == 0xFF]] = False  # a fill byte
    restarts = marks[(after & 0xF8) == 0xD0]
    keep[restarts] = keep[restarts + 1] = False
    dropped = np.flatnonzero(~keep)
    begins = restarts + 2
    starts = [0, *(8 * (begins - np.searchsorted(dropped, begins))).tolist(), 8 * (end - dropped.size)]
    return start + end, raw[:end][keep], starts
