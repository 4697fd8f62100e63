"""Sequence headers, written bit by bit as the specification has them (5.5.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.errors import CorruptMedia
from velum_pipeline.media import Dimensions, av1

WIDTH, HEIGHT = 4032, 3024
SIZE = f"{15:04b}{15:04b}{WIDTH - 1:016b}{HEIGHT - 1:016b}"
POINT = "0" * 12 + f"{8:05b}" + "0"
"""An operating point of a level that says its tier."""
TIMING = "0" * 64 + "1" + "00101"
"""Time base, then an interval as uvlc: two zeros, a one, two bits."""
MODEL = f"{9:05b}" + "0" * 42
"""Decoder model; buffer delays are ten bits."""
HEADERS = {
    "reduced": "000" + "1" + "1" + "00000" + SIZE,
    "plain": "000" + "00" + "0" + "0" + "00000" + POINT + SIZE,
    "two points": "000" + "00" + "0" + "0" + "00001" + 2 * POINT + SIZE,
    "timing": "000" + "00" + "1" + TIMING + "0" + "0" + "00000" + POINT + SIZE,
    "decoder model": "000" + "00" + "1" + TIMING + "1" + MODEL + "0" + "00000" + POINT + "1" + 21 * "0" + SIZE,
    "display delay": "000" + "00" + "0" + "1" + "00000" + POINT + "1" + "0000" + SIZE,
}


def unit(kind: int, body: bytes, extension: bool = False) -> bytes:
    return bytes((kind << 3 | extension << 2 | 2,)) + bytes(extension) + bytes((len(body) | 0x80, 0)) + body


def packed(bits: str) -> bytes:
    padded = bits + "1" + "0" * (-(len(bits) + 1) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("extension", [False, True])
def test_the_size_is_found(name: str, extension: bool) -> None:
    item = unit(2, b"") + unit(av1.SEQUENCE_HEADER, packed(HEADERS[name]), extension) + bytes((6 << 3,)) + bytes(99)
    assert av1.largest(item) == Dimensions(WIDTH, HEIGHT)


def test_the_largest_of_several_counts() -> None:
    small = "000" + "11" + "00000" + f"{3:04b}{3:04b}" + "0111" + "0111"
    both = unit(1, packed(small)) + unit(1, packed(HEADERS["reduced"]))
    assert av1.largest(both) == Dimensions(WIDTH, HEIGHT)
    assert av1.largest(unit(1, packed(small))) == Dimensions(8, 8)


@pytest.mark.parametrize("item", [b"", unit(2, b""), unit(1, b"\0"), b"\x0a\xff", b"\x0a\x80", b"\x0a" + b"\x80" * 9])
def test_no_size_is_an_error(item: bytes) -> None:
    with pytest.raises(CorruptMedia):
        av1.largest(item)


@given(st.binary(max_size=200))
def test_no_bytes_confuse_it(item: bytes) -> None:
    try:
        found = av1.largest(item)
    except CorruptMedia:
        return
    assert 0 < found.width <= 2**16
    assert 0 < found.height <= 2**16
