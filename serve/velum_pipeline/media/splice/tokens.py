"""Coefficients as the words of a scan: Huffman symbols with their extra bits, in the order of the data (T.81, F.1.2 and
G.1.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice.layout import Store

ZRL, ZRL_ZEROS = 0xF0, 16
LONGEST_RUN = 0x7FFF
"""Blocks that one word can end (T.81, table G.1)."""


@dataclass(frozen=True)
class Tokens:
    """Words in order. table: which Huffman table each is of. symbol. extra, size: bits after the word, and how many."""

    table: NDArray[np.uint8]
    symbol: NDArray[np.uint8]
    extra: NDArray[np.uint16]
    size: NDArray[np.uint8]


def differences(values: NDArray[np.int16], table: NDArray[np.uint8]) -> Tokens:
    """Words for differences of DC coefficients, one each."""
    sizes, extra = _magnitudes(values)
    return Tokens(table, sizes, extra, sizes)


def interleaved(first: Tokens, then: Tokens, counts: NDArray[np.int64]) -> Tokens:
    """One word of ``first`` before each block's ``counts`` words of ``then``."""
    before = np.cumsum(counts + 1) - counts - 1
    place = np.ones(len(first.symbol) + len(then.symbol), bool)
    place[before] = False
    made = []
    for one, other in zip(vars(first).values(), vars(then).values(), strict=True):
        joined = np.empty(place.size, one.dtype)
        joined[before], joined[place] = one, other
        made.append(joined)
    return Tokens(*made)


def band(store: Store, table: NDArray[np.uint8], *, runs: bool) -> tuple[Tokens, NDArray[np.int64]]:
    """Words for a band of AC coefficients, (blocks, width), and how many each block has. table: per block.

    runs: whether one word ends a run of blocks, as in progressive files.
    """
    block, at = np.nonzero(store)
    values = store[block, at]
    counts = np.bincount(block, minlength=len(store))
    firsts = np.cumsum(counts) - counts
    before = np.concatenate(([-1], at[:-1]))
    before[firsts[counts > 0]] = -1
    gaps = at - before - 1
    long, gap = np.divmod(gaps, ZRL_ZEROS)
    sizes, extra = _magnitudes(values)
    symbols = (gap << 4 | sizes).astype(np.uint8)
    last = np.full(len(store), -1)
    last[counts > 0] = at[(firsts + counts - 1)[counts > 0]]
    ends, lengths = _ends(last < store.shape[1] - 1, counts == 0, runs=runs)
    return _merged(block, long, symbols, extra, sizes, ends, lengths, table)


def _ends(open_: NDArray[np.bool_], empty: NDArray[np.bool_], *, runs: bool) -> tuple[NDArray[np.int64], ...]:
    """The blocks with a word that ends them, and how many blocks each of these words ends."""
    if not runs:
        found = np.flatnonzero(open_)
        return found, np.ones(found.size, np.int64)
    begins = open_ & ~(empty & np.concatenate(([False], open_[:-1])))
    group = np.cumsum(begins)[open_]
    within = np.arange(group.size) - np.searchsorted(group, group)
    starts = np.flatnonzero(within % LONGEST_RUN == 0)
    return np.flatnonzero(open_)[starts], np.diff(starts, append=group.size)


def _merged(
    block: NDArray[np.int64],
    long: NDArray[np.int64],
    symbols: NDArray[np.uint8],
    extra: NDArray[np.uint16],
    sizes: NDArray[np.uint8],
    ends: NDArray[np.int64],
    lengths: NDArray[np.int64],
    table: NDArray[np.uint8],
) -> tuple[Tokens, NDArray[np.int64]]:
    """Coefficients' words, with words of sixteen zeros before them and words that end blocks after them."""
    ended = np.zeros(len(table), np.int64)
    ended[ends] = 1
    own = np.cumsum(long + 1) - 1  # places among the words, the ends left out
    places = own + (np.cumsum(ended) - ended)[block]
    total = int((long + 1).sum() + ends.size)
    per_block = np.bincount(block, weights=long + 1, minlength=len(table)).astype(np.int64)
    end_places = (np.cumsum(per_block + ended) - 1)[ends]
    symbol = np.full(total, ZRL, np.uint8)
    bits, size = np.zeros(total, np.uint16), np.zeros(total, np.uint8)
    symbol[places], bits[places], size[places] = symbols, extra, sizes
    run = (np.frexp(lengths.astype(np.float64))[1] - 1).astype(np.int64)
    symbol[end_places], size[end_places] = run << 4, run
    bits[end_places] = lengths - (1 << run)
    return Tokens(np.repeat(table, per_block + ended), symbol, bits, size), per_block + ended


def _magnitudes(values: NDArray[np.int16]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """How many bits each number takes, and these bits: a negative one is one less, without its sign (F.1.2.1)."""
    wide = values.astype(np.int32)
    sizes = np.frexp(np.abs(wide).astype(np.float32))[1].astype(np.uint8)
    extra = np.where(wide < 0, wide + (1 << sizes.astype(np.int32)) - 1, wide)
    return sizes, extra.astype(np.uint16)
