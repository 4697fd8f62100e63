"""Writing coefficients as a JPEG of the process, the tables and the sampling that the file had.

The Huffman codes are the best ones for what is written. Restart markers are not written again. A progressive file is
written in bands, without successive approximation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice import tokens
from velum_pipeline.media.splice.frame import DHT, DQT, EOI, PROGRESSIVE, SOI, SOS, Code, Frame
from velum_pipeline.media.splice.huffman import best_code, words
from velum_pipeline.media.splice.layout import MAX_MCU, Order, Store, order
from velum_pipeline.media.splice.tokens import Tokens

BATCH = 1 << 14
"""Blocks whose words are made at once: a few MiB of arrays."""
FIRST_BAND = 5
"""Coefficients 1..5 of luminance come first in a progressive file, as in libjpeg's script: a preview is soon there."""


def write(frame: Frame, store: Store) -> bytes:
    """The file, without application segments: those belong to the codec."""
    parts = [bytes((0xFF, SOI)), *_tables(frame), _frame(frame)]
    everything = tuple(range(len(frame.components)))
    if frame.process == PROGRESSIVE:
        for group in _groups(frame):
            parts += _scan(frame, store, group, 0, 0)
        bands = [(0, 1, FIRST_BAND), *((number, 1, 63) for number in everything[1:]), (0, FIRST_BAND + 1, 63)]
        for number, first, last in bands:
            parts += _scan(frame, store, (number,), first, last)
    else:
        for group in _groups(frame):
            parts += _scan(frame, store, group, 0, 63)
    return b"".join((*parts, bytes((0xFF, EOI))))


def segment(code: int, body: bytes) -> bytes:
    """A marker segment."""
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body


def _groups(frame: Frame) -> list[tuple[int, ...]]:
    """Components that share a scan: all of them where an MCU may hold their blocks, else each its own."""
    everything = tuple(range(len(frame.components)))
    blocks = sum(each.horizontal * each.vertical for each in frame.components)
    return [everything] if blocks <= MAX_MCU else [(number,) for number in everything]


def _tables(frame: Frame) -> Iterator[bytes]:
    for number, values in sorted(frame.quantisation.items()):
        wide = bool(values.max() > 255)
        yield segment(DQT, bytes((wide << 4 | number,)) + values.astype(">u2" if wide else np.uint8).tobytes())


def _frame(frame: Frame) -> bytes:
    head = bytes((8,)) + frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    rows = [(each.identifier, each.horizontal << 4 | each.vertical, each.table) for each in frame.components]
    return segment(frame.process, head + bytes((len(rows),)) + b"".join(map(bytes, rows)))


def _scan(frame: Frame, store: Store, components: tuple[int, ...], first: int, last: int) -> list[bytes]:
    """The Huffman tables, the header and the data of one scan. Tables: 0 of luminance, 1 of the rest."""
    where = order(frame, components)
    made = list(_words(frame, store, where, components, first, last))
    counts = np.zeros((4, 256), np.int64)
    for part in made:
        counts += np.bincount(part.table.astype(np.int64) * 256 + part.symbol, minlength=1024).reshape(4, 256)
    codes = {number: best_code(counts[number]) for number in range(4) if counts[number].any()}
    header = bytes((len(components),)) + b"".join(
        bytes((frame.components[number].identifier, _table(number) * ((first == 0) << 4 | (last > 0))))
        for number in components
    )
    parts = [
        segment(DHT, bytes(((number & 2) << 3 | number & 1,)) + code.counts + code.symbols)
        for number, code in codes.items()
    ]
    return [*parts, segment(SOS, header + bytes((first, last, 0))), _stuffed(_packed(made, codes))]


def _table(component: int) -> int:
    return 0 if component == 0 else 1


def _words(
    frame: Frame, store: Store, where: Order, components: tuple[int, ...], first: int, last: int
) -> Iterator[Tokens]:
    """The scan's words, batch by batch. Tables 0 and 1 are DC, 2 and 3 AC."""
    tables = np.array([_table(components[slot.component]) for slot in where.slots], np.uint8)
    previous = np.zeros(len(components), np.int16)
    batch = BATCH // len(where.slots) * len(where.slots)
    for start in range(0, where.blocks, batch):
        numbers = np.arange(start, min(start + batch, where.blocks))
        coefficients = store[where.addresses(numbers)]
        slot = numbers % len(where.slots)
        table = tables[slot]
        steps = tokens.differences(_steps(coefficients[:, 0], where, previous), table) if first == 0 else None
        if last == 0 and steps is not None:
            yield steps
            continue
        band = coefficients[:, max(1, first) : last + 1]
        ac, counts = tokens.band(band, table + 2, runs=frame.process == PROGRESSIVE)
        yield ac if steps is None else tokens.interleaved(steps, ac, counts)


def _steps(dc: NDArray[np.int16], where: Order, previous: NDArray[np.int16]) -> NDArray[np.int16]:
    """Differences of each component's DC coefficients in the order of the scan; ``previous`` is carried on."""
    table = dc.reshape(-1, len(where.slots))
    steps = np.empty_like(table)
    for component in range(len(previous)):
        chosen = [number for number, slot in enumerate(where.slots) if slot.component == component]
        values = table[:, chosen].ravel()
        steps[:, chosen] = np.diff(values, prepend=previous[component]).reshape(-1, len(chosen))
        previous[component] = values[-1]
    return steps.ravel()


def _packed(made: list[Tokens], codes: dict[int, Code]) -> bytes:
    """The words' bits one after the other, the last byte filled with ones (F.1.2.3)."""
    word, lengths = np.zeros((4, 256), np.uint64), np.zeros((4, 256), np.uint8)
    for number, code in codes.items():
        word[number], lengths[number] = words(code)
    parts: list[bytes] = []
    rest, held = 0, 0  # bits that do not fill a byte yet, and how many
    for part in made:
        length = lengths[part.table, part.symbol]
        values = word[part.table, part.symbol] << part.size.astype(np.uint64) | part.extra
        ends = np.cumsum(length.astype(np.int64) + part.size) + held
        total = int(ends[-1])
        # Each word is shorter than 32 bits, so it lies in two words of 32 at most.
        starts = ends - length - part.size
        at = starts >> 5
        placed = values << (64 - (ends - (at << 5))).astype(np.uint64)
        sums = np.bincount(at, (placed >> np.uint64(32)).astype(np.float64), total // 32 + 2)
        sums[1:] += np.bincount(at, (placed & np.uint64(0xFFFFFFFF)).astype(np.float64), total // 32 + 2)[:-1]
        sums[0] += rest << 32 - held if held else 0
        filled = sums.astype(np.uint64).astype(">u4").tobytes()
        parts.append(filled[: total // 8])
        held = total % 8
        rest = filled[total // 8] >> (8 - held) if held else 0
    if held:
        parts.append(bytes((rest << 8 - held | (1 << 8 - held) - 1,)))
    return b"".join(parts)


def _stuffed(data: bytes) -> bytes:
    """A zero after every byte of ones (T.81, B.1.1.5)."""
    return data.replace(b"\xff", b"\xff\0")
