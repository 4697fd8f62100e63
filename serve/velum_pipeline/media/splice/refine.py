"""Reading the refinement scans of a progressive JPEG: one more bit of coefficients that earlier scans began (T.81,
G.1.2.1.1 and G.1.2.3).

Here the data cannot be read without knowing which coefficients are not zero yet. For each block a short walk over those
finds where its words and correction bits lie; the bits themselves are taken afterwards, all at once.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.media.splice import bits
from velum_pipeline.media.splice.frame import Scan, refused
from velum_pipeline.media.splice.huffman import decoder
from velum_pipeline.media.splice.layout import Indices, Order, Store


def refine_dc(store: Store, scan: Scan, where: Order) -> None:
    """One more bit of every DC coefficient, block after block."""
    numbers = np.arange(where.blocks)
    interval, within = np.divmod(numbers, where.per * len(where.slots))
    positions = np.array(scan.starts[:-1], np.int64)[interval] + within
    found = bits.single(scan.data, positions).astype(np.int16)
    store[where.addresses(numbers), 0] |= found << scan.low


def refine(store: Store, scan: Scan, where: Order) -> None:
    """One more bit of a band of AC coefficients. Raises OptionError for data that do not decode."""
    _Refinement(store, scan, where).read()


class _Refinement:
    def __init__(self, store: Store, scan: Scan, where: Order) -> None:
        self.store, self.scan, self.where = store, scan, where
        self.code = decoder(scan.ac[0])
        self.addresses = where.addresses(np.arange(where.blocks))
        block, at = np.nonzero(store[self.addresses, scan.first : scan.last + 1])
        at += scan.first
        self.held = self.addresses[block] * 64 + at  # flat indices of what is not zero yet
        self.places: list[int] = at.tolist()
        self.ends: list[int] = np.searchsorted(block, np.arange(where.blocks + 1)).tolist()
        # Correction bits, three numbers each: of which first coefficient, from which bit on, how many.
        self.corrected: list[int] = []
        self.new: list[int] = []  # three numbers each: block, place, bit of the sign
        self.batches: tuple[list[Indices], list[Indices]] = ([], [])  # both, of the windows before
        self._open(0)

    def read(self) -> None:
        number = 0
        for interval, start in enumerate(self.scan.starts[:-1]):
            position, end = start, min((interval + 1) * self.where.per, self.where.units)
            while number < end:
                if not 0 <= position - self.view.base < self.view.limit:
                    self._open(position)
                number, position = self._follow(number, position - self.view.base, end)
            if position > self.scan.starts[interval + 1]:
                raise refused("its data end too early")
        self._apply()

    def _open(self, position: int) -> None:
        self._put_by()
        self.view = bits.window(self.scan.data, position)
        self.lengths = self.code.lengths[self.view.following].tobytes()
        self.symbols = self.code.symbols[self.view.following].tobytes()

    def _follow(self, number: int, position: int, end: int) -> tuple[int, int]:
        """Walk blocks to block ``end`` or the window's limit; returns the next block's number and the position.

        ``position`` comes in relative to the window and goes out absolute.
        """
        lengths, symbols, places, ends = self.lengths, self.symbols, self.places, self.ends
        first, last, limit, base = self.scan.first, self.scan.last, self.view.limit, self.view.base
        while number < end and position < limit:
            held, stop, at, number = ends[number], ends[number + 1], first, number + 1
            while at <= last:
                length, symbol = lengths[position], symbols[position]
                run, new = symbol >> 4, symbol & 15
                if not length or new > 1:
                    raise refused("its data hold a word that no Huffman table has")
                position += length + new
                if not new and run < 15:
                    number, position = self._ended(number, position, end, held, run)
                    break
                sign = position - 1
                at += run  # to the zero after so many zeros; what is not zero on the way is corrected
                before = held
                while held < stop and places[held] <= at:
                    held += 1
                    at += 1
                if at > last:
                    raise refused("a block has more coefficients than its band")
                if new:
                    self.new += (number - 1, at, base + sign)
                if held > before:
                    self.corrected += (before, base + position, held - before)
                    position += held - before
                at += 1
        return number, base + position

    def _ended(self, number: int, position: int, end: int, held: int, run: int) -> tuple[int, int]:
        """The block before this one ends, and so do those of a run after it: all that they hold is corrected."""
        extra = int(self.view.following[position]) >> (16 - run) if run else 0
        after = number - 1 + (1 << run) + extra
        if after > end:
            raise refused("a run of blocks is longer than its scan")
        position += run
        count = self.ends[after] - held
        if count:
            self.corrected += (held, self.view.base + position, count)
        return after, position + count

    def _put_by(self) -> None:
        """Keep what a window gave as arrays, which take a fifth of the memory."""
        for found, batches in zip((self.corrected, self.new), self.batches, strict=True):
            batches.append(np.array(found, np.int64).reshape(-1, 3))
            found.clear()

    def _apply(self) -> None:
        self._put_by()
        flat, step = self.store.reshape(-1), 1 << self.scan.low
        for batch in self.batches[0]:
            first, start, count = batch.T
            within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            which = self.held[np.repeat(first, count) + within]
            found = bits.single(self.scan.data, np.repeat(start, count) + within)
            values = flat[which]
            flat[which] = np.where(found == 1, values + np.sign(values) * step, values)
        for batch in self.batches[1]:
            number, at, sign = batch.T
            found = bits.single(self.scan.data, sign)
            flat[self.addresses[number] * 64 + at] = np.where(found == 1, step, -step)
