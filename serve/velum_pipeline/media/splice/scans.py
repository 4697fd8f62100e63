"""Reading the coefficients of every scan: sequential ones and the first of each progressive band; refine.py has the
rest.

Within a window everything is looked up beforehand (`bits`), so that following the data is a short loop over bytes:
how far to the next word, how many coefficients on. Values are taken afterwards, all at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice import bits
from velum_pipeline.media.splice.frame import PROGRESSIVE, Frame, Scan, refused
from velum_pipeline.media.splice.huffman import Decoder, decoder
from velum_pipeline.media.splice.layout import Indices, Order, Store, of_scan
from velum_pipeline.media.splice.refine import refine, refine_dc

STOP = 64
"""As a number of coefficients to go on: the block ends. What is added to it is the size of a run of ended blocks."""
ZRL = 0xF0
"""Sixteen zeros."""
NOTHING_YET = 16
"""As the lowest bit of a coefficient that no scan has begun."""


def coefficients(frame: Frame) -> Store:
    """All quantised coefficients of a file. Raises OptionError for data that do not decode."""
    store = np.zeros((frame.blocks, 64), np.int16)
    _check_bands(frame)
    for scan in frame.scans:
        where = of_scan(frame, scan)
        if not scan.high:
            _Reader(store, scan, where).read()
        elif scan.first:
            refine(store, scan, where)
        else:
            refine_dc(store, scan, where)
    return store


def _check_bands(frame: Frame) -> None:
    """Raise OptionError unless the scans are those of their process and give every bit of every coefficient once (T.81,
    G.1.1.1).

    Of a progressive file that ends early a decoder makes up what is missing, smoothly from block to block. Written
    again it would not end early, and not look so.
    """
    missing = np.full((len(frame.components), 64), NOTHING_YET)  # the lowest bit that is there
    for scan in frame.scans:
        if frame.process != PROGRESSIVE:
            good = (scan.first, scan.last, scan.high, scan.low) == (0, 63, 0, 0)
        elif scan.first == 0:
            good = scan.last == 0
        else:
            good = scan.first <= scan.last <= 63 and len(scan.components) == 1
        band = np.ix_(scan.components, range(scan.first, scan.last + 1))
        good = good and scan.low <= 13 and scan.high in (0, scan.low + 1)
        if not good or (missing[band] != (scan.high or NOTHING_YET)).any():
            raise refused("a scan's band is broken")
        missing[band] = scan.low
    if missing.any():
        raise refused("its scans leave coefficients out")


class _Steps:
    """A code, ready to be looked up at every position of a window.

    step: by the next 16 bits, how many bits the next word is away, extra bits included. on: how many coefficients it
    goes on, or STOP and more.
    """

    def __init__(self, code: Decoder, *, runs: bool | None) -> None:
        symbols = np.arange(256)
        run, size = symbols >> 4, symbols & 15
        if runs is None:  # DC: the symbol is the size, and there is one word in a block
            extra, on = symbols & 31, symbols * 0
        else:
            ends = (size == 0) & (symbols != ZRL)
            extra = np.where(ends & runs, run, size)
            on = np.where(ends, STOP + run * runs, run + 1)
        held = code.lengths > 0
        self.step = np.where(held, code.lengths + extra[code.symbols], 0).astype(np.uint8)
        self.on = np.where(held, on[code.symbols], STOP).astype(np.uint8)


def _by_code(codes: list[Decoder], *, runs: bool | None) -> dict[int, _Steps]:
    return {key: _Steps(code, runs=runs) for key, code in {id(code): code for code in codes}.items()}


class _Reader:
    """Reads one scan that is no refinement, window by window."""

    def __init__(self, store: Store, scan: Scan, where: Order) -> None:
        self.store, self.scan, self.where = store, scan, where
        slots = where.slots
        self.dc = [decoder(scan.dc[slot.component]) for slot in slots] if scan.first == 0 else []
        self.ac = [decoder(scan.ac[slot.component]) for slot in slots] if scan.last > 0 else []
        self.differences = np.zeros(where.blocks, np.int32) if scan.first == 0 else None
        self.dc_steps = _by_code(self.dc, runs=None)
        self.ac_steps = _by_code(self.ac, runs=scan.first > 0)
        self.number = 0  # of the next block
        self._open(0)

    def read(self) -> None:
        per = self.where.per * len(self.where.slots)
        follow = self._follow_band if self.scan.first else self._follow_blocks
        for interval, start in enumerate(self.scan.starts[:-1]):
            position, end = start, min((interval + 1) * per, self.where.blocks)
            while self.number < end:
                if position - self.view.base >= self.view.limit:
                    self._take()
                    self._open(position)
                position = self.view.base + follow(position - self.view.base, end)
            if position > self.scan.starts[interval + 1]:
                raise refused("its data end too early")
            self.number = end
        self._take()
        if self.differences is not None:
            self._sum(self.differences)

    def _open(self, position: int) -> None:
        """Look everything up for the window that begins here. Bytes, because reading their items is fastest."""
        self.view = bits.window(self.scan.data, position)
        following = self.view.following
        dc = {key: steps.step[following].tobytes() for key, steps in self.dc_steps.items()}
        ac = {
            key: (steps.step[following].tobytes(), steps.on[following].tobytes())
            for key, steps in self.ac_steps.items()
        }
        nothing = (b"", b"")
        self.plan = [
            (dc[id(self.dc[slot])] if self.dc else b"", *(ac[id(self.ac[slot])] if self.ac else nothing))
            for slot in range(len(self.where.slots))
        ]
        self.begins: list[int] = []  # where each block begins
        self.numbers: list[int] = []  # its number in the scan
        self.words: list[int] = []  # where each AC word begins

    def _follow_blocks(self, position: int, end: int) -> int:
        """Follow whole blocks (or their DC alone) to block ``end`` or the window's limit; returns the position."""
        begins, words, limit = self.begins, self.words, self.view.limit
        number, first = self.number, self.number
        whole, plan = bool(self.ac), self.plan
        while number < end and position < limit:
            for dc, step, on in plan:
                begins.append(position)
                position += dc[position]
                if whole:
                    at = 1
                    while at < STOP:
                        words.append(position)
                        at += on[position]
                        position += step[position]
            number += len(plan)
        self.numbers.extend(range(first, number))
        self.number = number
        return position

    def _follow_band(self, position: int, end: int) -> int:
        """Follow the blocks of a progressive band; runs of ended blocks are skipped."""
        ((_, step, on),), following = self.plan, self.view.following
        begins, numbers, words, limit = self.begins, self.numbers, self.words, self.view.limit
        first, last, number = self.scan.first, self.scan.last, self.number
        while number < end and position < limit:
            begins.append(position)
            numbers.append(number)
            at = first
            while at <= last:
                words.append(position)
                more = on[position]
                at += more
                position += step[position]
                if more > STOP:
                    run = more - STOP
                    number += (1 << run) - 1 + (int(following[position - run]) >> (16 - run))
            number += 1
        if number > end:
            raise refused("a run of blocks is longer than its scan")
        self.number = number
        return position

    def _take(self) -> None:
        """Put what was found in the window into the store."""
        if not self.begins:
            return
        begins, numbers = np.array(self.begins, np.int64), np.array(self.numbers, np.int64)
        slot = numbers % len(self.where.slots)
        if self.differences is not None:
            symbols, after = self._symbols(begins, slot, self.dc)
            if symbols.max(initial=0) > 15:
                raise refused("a DC coefficient is too large")
            self.differences[numbers] = bits.signed(self.view.numbers(after, symbols), symbols)
        if self.ac:
            self._take_words(begins, numbers, slot)

    def _take_words(self, begins: Indices, numbers: Indices, slot: Indices) -> None:
        words = np.array(self.words, np.int64)
        counter = np.zeros(len(self.view.following), np.int32)
        counter[begins] = 1
        block = np.cumsum(counter, dtype=np.int32)[words] - 1
        symbols, after = self._symbols(words, slot[block], self.ac)
        sizes, runs = symbols & np.uint8(15), (symbols >> 4).astype(np.int64)
        on = np.where((sizes > 0) | (symbols == ZRL), runs + 1, 0)
        total = np.cumsum(on)
        firsts = np.flatnonzero(np.diff(block, prepend=-1))
        before = (total - on) - (total - on)[firsts][block]
        kept = sizes > 0
        at = max(1, self.scan.first) + before[kept] + runs[kept]
        if at.max(initial=0) > self.scan.last:
            raise refused("a block has more coefficients than its band")
        values = bits.signed(self.view.numbers(after[kept], sizes[kept]), sizes[kept]) * (1 << self.scan.low)
        self.store[self.where.addresses(numbers)[block[kept]], at] = values

    def _symbols(self, positions: Indices, slot: Indices, codes: list[Decoder]) -> tuple[NDArray[np.uint8], Indices]:
        """The symbols at these positions, and the positions after their words."""
        following = self.view.following[positions]
        lengths, symbols = codes[0].lengths[following], codes[0].symbols[following]
        for number, code in enumerate(codes):
            if code is not codes[0]:
                chosen = slot == number
                lengths[chosen], symbols[chosen] = code.lengths[following[chosen]], code.symbols[following[chosen]]
        if not lengths.all():
            raise refused("its data hold a word that no Huffman table has")
        return symbols, positions + lengths

    def _sum(self, differences: NDArray[np.int32]) -> None:
        """DC coefficients from their differences, which begin anew at every restart (T.81, F.1.1.5.1)."""
        slots = self.where.slots
        table = differences.reshape(self.where.units, len(slots))
        addresses = self.where.addresses(np.arange(self.where.blocks)).reshape(table.shape)
        for component in range(len(self.scan.components)):
            chosen = [number for number, slot in enumerate(slots) if slot.component == component]
            values = np.cumsum(table[:, chosen].ravel(), dtype=np.int64)
            begins = np.arange(0, values.size, self.where.per * len(chosen))
            offsets = np.concatenate(([0], values[begins[1:] - 1]))
            values -= np.repeat(offsets, np.diff(begins, append=values.size))
            self.store[addresses[:, chosen].ravel(), 0] = values << self.scan.low
