"""Directories: what is written is read again, and no bytes lead astray."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.ifd import SIZES, Entry, Ifd, IfdError, Tree

ENTRIES = st.dictionaries(
    st.integers(1, 0xFFFF).filter(lambda tag: tag not in ifds.POINTERS),
    st.tuples(st.sampled_from(sorted(SIZES)), st.integers(0, 9)).flatmap(
        lambda shape: st.binary(min_size=SIZES[shape[0]] * shape[1], max_size=SIZES[shape[0]] * shape[1]).map(
            lambda raw: Entry(shape[0], shape[1], raw)
        )
    ),
    max_size=8,
)


@given(ENTRIES, ENTRIES, st.sampled_from("<>"), st.none() | st.binary(min_size=1, max_size=50))
def test_a_tree_survives_writing_and_reading(
    first: dict[int, Entry], inner: dict[int, Entry], order: str, thumbnail: bytes | None
) -> None:
    tree = Tree(order, [Ifd(first, {ifds.EXIF_POINTER: Ifd(inner)})])
    data = ifds.serialise(tree, thumbnail)
    again = ifds.parse(data)
    assert again.order == order
    assert again.pages[0] == tree.pages[0]
    if thumbnail is None:
        assert len(again.pages) == 1
    else:
        start, length = again.number(again.pages[1], 0x0201), again.number(again.pages[1], 0x0202)
        assert start is not None
        assert length is not None
        assert data[start : start + length] == thumbnail


@given(st.binary(max_size=200))
def test_noise_is_read_or_refused(data: bytes) -> None:
    for start in (b"II*\0", b"MM\0*"):
        try:
            tree = ifds.parse(start + data)
        except IfdError:
            continue
        assert ifds.parse(ifds.serialise(tree)).pages[0] == tree.pages[0]


def test_loops_end() -> None:
    loop = b"II*\0" + struct.pack("<IHI", 8, 0, 8)
    with pytest.raises(IfdError, match="loop"):
        ifds.parse(loop)
    inner = b"II*\0" + struct.pack("<IHHHIII", 8, 1, ifds.EXIF_POINTER, 4, 1, 8, 0)
    with pytest.raises(IfdError, match="loop"):
        ifds.parse(inner)


def test_find_points_at_the_value() -> None:
    tree = Tree(">", [Ifd()])
    tree.put(tree.pages[0], 0x0100, 7)
    tree.put(tree.pages[0], 0x0112, 6)
    data = ifds.serialise(tree)
    where = ifds.find(data, 0x0112)
    assert where is not None
    assert data[where : where + 2] == b"\0\6"
    assert ifds.find(data, 0x0999) is None
