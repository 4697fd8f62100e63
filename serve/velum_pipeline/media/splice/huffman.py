"""Huffman codes of a JPEG (ITU-T T.81): tables that look up what a stream's next 16 bits begin with, and the best code
for symbols of known frequency.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.splice.frame import Code, refused

LONGEST = 16
"""Bits of the longest code word (T.81, F.1.2.1)."""
WORDS = 1 << LONGEST
Lookup = NDArray[np.uint8]


@dataclass(frozen=True)
class Decoder:
    """For each value of the next 16 bits: the code word's length (0 where there is none) and its symbol."""

    lengths: Lookup
    symbols: Lookup


@lru_cache(maxsize=8)
def decoder(code: Code | None) -> Decoder:
    """The lookup tables of a code (T.81, annex C). Raises OptionError when it is missing or has too many words."""
    if code is None:
        raise refused("a Huffman table is missing")
    lengths, symbols = np.zeros(WORDS, np.uint8), np.zeros(WORDS, np.uint8)
    position = number = 0
    for length, count in enumerate(code.counts, 1):
        span = 1 << (LONGEST - length)
        for symbol in code.symbols[number : number + count]:
            if position + span > WORDS:
                raise refused("a Huffman table holds more words than its lengths allow")
            lengths[position : position + span] = length
            symbols[position : position + span] = symbol
            position += span
        number += count
    return Decoder(lengths, symbols)


def best_code(frequencies: NDArray[np.int64]) -> Code:
    """The code of least total length for symbols with these frequencies, (256,) (T.81, K.2).

    No word is longer than 16 bits and none is all ones. Symbols of frequency 0 have no word.
    """
    counts = _limited(_lengths(frequencies))
    order = sorted(np.flatnonzero(frequencies).tolist(), key=lambda symbol: (-int(frequencies[symbol]), symbol))
    return Code(bytes(counts), bytes(order))


def words(code: Code) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Each symbol's word and its length in bits, both (256,); length 0 for a symbol without one."""
    word, lengths = np.zeros(256, np.uint32), np.zeros(256, np.uint8)
    value = number = 0
    for length, count in enumerate(code.counts, 1):
        for symbol in code.symbols[number : number + count]:
            word[symbol], lengths[symbol] = value, length
            value += 1
        number += count
        value <<= 1
    return word, lengths


def _lengths(frequencies: NDArray[np.int64]) -> list[int]:
    """How many words have each length, index 0 for none; one extra symbol stands for the word that is all ones."""
    groups = [(int(frequencies[symbol]), -int(symbol), [int(symbol)]) for symbol in np.flatnonzero(frequencies)]
    groups.append((1, -256, [256]))
    length = dict.fromkeys((symbol for _, _, members in groups for symbol in members), 0)
    while len(groups) > 1:
        groups.sort(reverse=True)
        (one, tie, members), (other, _, more) = groups.pop(), groups.pop()
        for symbol in (*members, *more):
            length[symbol] += 1
        groups.append((one + other, tie, members + more))
    counts = [0] * (max(length.values()) + 1)
    for each in length.values():
        counts[each] += 1
    return counts


def _limited(counts: list[int]) -> list[int]:
    """Counts for lengths 1..16 (T.81, figure K.3), without the extra symbol, which has the longest word."""
    counts = [*counts, *[0] * (LONGEST + 1 - len(counts))]
    for length in range(len(counts) - 1, LONGEST, -1):
        while counts[length]:
            shorter = length - 2
            while not counts[shorter]:
                shorter -= 1
            counts[length] -= 2
            counts[length - 1] += 1
            counts[shorter + 1] += 2
            counts[shorter] -= 1
    longest = max(length for length, count in enumerate(counts) if count)
    counts[longest] -= 1
    return counts[1 : LONGEST + 1]
