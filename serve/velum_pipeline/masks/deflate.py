"""A deflate coder for masks: runs in, a zlib stream out, without ever looking at the pixels between.

A mask is a few thousand runs of equal pixels in millions of bytes. A general encoder reads every byte; this one
computes, for each run, its tokens, their bit positions and its share of the checksum, all as array operations, in time
that follows the number of runs. A 1080p RGB mask takes under a millisecond instead of forty.

Every run is its first pixel as literals and then copies of it, at a distance of one pixel. One fixed Huffman table is
sent (RFC 1951, 3.2.7), made so that the longest copy, 258 bytes, costs two bits, both zero: most of the stream is then
the zeros that the bit array starts with.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

LONGEST = 258
END_OF_BLOCK = 256
LENGTH_BASE = np.array(
    [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258]
)
LENGTH_EXTRA = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0])
"""RFC 1951, 3.2.5: symbols 257..285."""
SHORT_LITERALS = 71
"""Literals 1..71 get nine bits, 72..255 ten.

With one bit for a copy of 258 and three for a zero that fills the code exactly.
"""
CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
ADLER = 65521


def zlib_stream(starts: Ints, lengths: Ints, pixels: Ints) -> bytes:
    """The zlib stream (RFC 1950) of runs of pixels.

    starts: int64 (R,), byte offset of each run; the first is 0 and each starts where the one before ends. lengths:
    int64 (R,), bytes. pixels: int64 (R, C), C = 1 or 3, the bytes of the pixel that the run repeats; a run of pixels
    that are all zero may have any length, others whole pixels.
    """
    bits = _bits(*_tokens(lengths, pixels))
    body = np.packbits(bits, bitorder="little").tobytes()
    return b"\x78\x01" + body + _adler(starts, lengths, pixels).to_bytes(4, "big")


def _tokens(lengths: Ints, pixels: Ints) -> tuple[Ints, Ints, Ints]:
    """(code, its bits, longest copies after it) of the tokens of every run, each int64 (R, C + 3); copies are negative
    at distance 1.

    Per run: its pixel's bytes as literals, the longest copies, and what is left as one copy or, too short for that, as
    one or two literals.
    """
    literal, literal_bits, copy, copy_bits = _tables()
    channels = pixels.shape[1]
    wide = pixels.any(axis=1) & (channels == 3)
    full, left = np.divmod(lengths - np.where(wide, 3, 1), LONGEST)
    code, size, copies = (np.zeros((len(lengths), channels + 3), np.int64) for _ in range(3))
    code[:, :channels], size[:, :channels] = literal[pixels], literal_bits[pixels]
    code[~wide, 1:channels] = size[~wide, 1:channels] = 0
    copies[:, channels - 1] = np.where(wide, full, -full)
    for column, used in ((channels, (left == 1) | (left == 2)), (channels + 1, left == 2)):
        code[used, column], size[used, column] = literal[pixels[used, 0]], literal_bits[pixels[used, 0]]
    used = left >= 3
    code[used, -1] = copy[left[used]] | wide[used].astype(np.int64) << copy_bits[left[used]]
    size[used, -1] = copy_bits[left[used]] + 1
    return code, size, copies


def _bits(code: Ints, size: Ints, copies: Ints) -> NDArray[np.uint8]:
    """All bits of a block.

    The header, each token's code, lowest bit first, with the longest copies after it, and the end.
    """
    literal, literal_bits, _, _ = _tables()
    code, size, copies = (
        np.append(part, last)
        for part, last in ((code, literal[END_OF_BLOCK]), (size, literal_bits[END_OF_BLOCK]), (copies, 0))
    )
    header = _header()
    ends = np.cumsum(size + 2 * np.abs(copies)) + len(header)
    bits = np.zeros(int(ends[-1]), np.uint8)
    bits[: len(header)] = header
    starts = ends - size - 2 * np.abs(copies)
    coded = np.flatnonzero(code)
    unpacked = np.unpackbits(code[coded].astype("<u2").view(np.uint8).reshape(-1, 2), axis=1, bitorder="little")
    ones = np.flatnonzero(unpacked.view(np.bool_))
    bits[starts[coded][ones >> 4] + (ones & 15)] = 1
    apart = np.flatnonzero(copies > 0)
    if len(apart):
        # A longest copy at distance 1 is two zero bits; at distance 3 the second is a one.
        count = copies[apart]
        order = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        bits[np.repeat(starts[apart] + size[apart], count) + 2 * order + 1] = 1
    return bits


def _adler(starts: Ints, lengths: Ints, pixels: Ints) -> int:
    """Adler-32 (RFC 1950, 8.2) from the runs.

    Its two sums are linear in the bytes, weighted by their distance from the end.
    """
    lit = pixels.any(axis=1)
    start, length, pixel = starts[lit], lengths[lit], pixels[lit]
    total = int(starts[-1] + lengths[-1])
    channels = pixels.shape[1]
    count = length // channels
    first, second = 1, total % ADLER
    for channel in range(channels):
        value = pixel[:, channel]
        first += int((value * count).sum())
        nearest = total - start - channel
        weight = count * nearest - channels * (count * (count - 1) // 2)
        second += int((value * (weight % ADLER)).sum())
    return (second % ADLER) << 16 | first % ADLER


def _code_lengths() -> list[int]:
    lengths = [10] * 286
    lengths[0], lengths[285] = 3, 1
    lengths[1 : 1 + SHORT_LITERALS] = [9] * SHORT_LITERALS
    lengths[END_OF_BLOCK:285] = [9] * (285 - END_OF_BLOCK)
    return lengths


def _canonical(lengths: list[int]) -> Ints:
    """Huffman codes from their lengths (RFC 1951, 3.2.2), bit-reversed.

    They go out highest bit first, everything else lowest first.
    """
    codes, code = np.zeros(len(lengths), np.int64), 0
    for length in range(1, max(lengths) + 1):
        code <<= 1
        for symbol, own in enumerate(lengths):
            if own == length:
                codes[symbol] = int(f"{code:0{length}b}"[::-1], 2)
                code += 1
    return codes


@cache
def _tables() -> tuple[Ints, Ints, Ints, Ints]:
    """Code and bits of every literal, and of every copy length (extra bits included, distance not)."""
    lengths = _code_lengths()
    codes, sizes = _canonical(lengths), np.array(lengths, np.int64)
    wanted = np.maximum(np.arange(LONGEST + 1), 3)
    symbol = np.searchsorted(LENGTH_BASE, wanted, side="right") - 1
    extra = wanted - LENGTH_BASE[symbol]
    own = sizes[257 + symbol]
    return codes, sizes, codes[257 + symbol] | extra << own, own + LENGTH_EXTRA[symbol]


@cache
def _header() -> NDArray[np.uint8]:
    """The bits of a last block with dynamic codes.

    286 literal and length codes, 3 distance codes of which the first and the third are used.
    """
    sequence = [*_code_lengths(), 1, 0, 1]
    own = [0] * 19
    own[10], own[9], own[1], own[3], own[0] = 1, 2, 3, 4, 4
    codes = _canonical(own)
    count = max(place for place, symbol in enumerate(CODE_ORDER) if own[symbol]) + 1
    fields = [(1, 1), (2, 2), (286 - 257, 5), (3 - 1, 5), (count - 4, 4)]
    fields += [(own[symbol], 3) for symbol in CODE_ORDER[:count]]
    fields += [(int(codes[length]), own[length]) for length in sequence]
    return np.array([value >> index & 1 for value, size in fields for index in range(size)], np.uint8)
