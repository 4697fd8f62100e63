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


def block(*fields: tuple[int, int, int, int], following: int = 0, rest: bytes = b"") -> bytes:
    """A little-endian structure of one directory: (tag, type, count, value or offset) each, and what follows it."""
    body = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", *field) for field in fields)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", following) + rest


TURNED = (0x0112, 3, 1, 6)


@pytest.mark.parametrize(
    ("data", "pages"),
    [
        (block(TURNED, following=999_999), 1),
        (block(TURNED, following=8), 1),
        (block(TURNED, following=26, rest=struct.pack("<H", 3)), 1),
        (block((0x010F, 2, 40, 60_000), TURNED), 1),
        (block(TURNED, (0x9286, 7, 0xFFFFFF, 60)), 1),
        (block(TURNED, (0x8825, 4, 1, 99_999)), 1),
        (block(TURNED, (0x8769, 4, 1, 8)), 1),
        (block(TURNED, (0xA005, 4, 1, 8)), 1),
        (block(TURNED, (0x8769, 4, 1, 0xFFFFFFFF)), 1),
        (block(TURNED, (0xC000, 77, 1, 5)), 1),
        (block(TURNED, following=26, rest=struct.pack("<HI", 0, 0)), 2),
    ],
)
def test_one_bad_offset_loses_nothing_else(data: bytes, pages: int) -> None:
    tree = ifds.parse(data)
    assert tree.number(tree.pages[0], 0x0112) == 6
    assert len(tree.pages) == pages
    assert ifds.parse(ifds.serialise(tree)).pages[0] == tree.pages[0]


def test_what_could_not_be_read_is_told() -> None:
    (page,) = ifds.parse(block((0x010F, 2, 40, 60_000), TURNED, (0x8825, 4, 1, 99_999))).pages
    assert page.unread == {0x010F, 0x8825}


@pytest.mark.parametrize(
    "data", [block(TURNED)[:20], block(TURNED)[:8], block()[:6], b"II*\0" + bytes(4) + b"\xff" * 9]
)
def test_a_broken_first_directory_is_an_error(data: bytes) -> None:
    with pytest.raises(IfdError):
        ifds.parse(data)


def test_pointers_do_not_nest() -> None:
    depth = 3000
    data = b"II*\0" + struct.pack("<I", 8)
    for _ in range(depth):
        data += struct.pack("<HHHIII", 1, ifds.EXIF_POINTER, 4, 1, len(data) + 18, 0)
    tree = ifds.parse(data + bytes(6))
    (child,) = tree.pages[0].children.values()
    assert not child.children
    interop = Ifd({}, {ifds.EXIF_POINTER: Ifd({}, {ifds.INTEROP_POINTER: Ifd({1: Entry(2, 4, b"R98\0")})})})
    assert ifds.parse(ifds.serialise(Tree("<", [interop]))).pages == [interop]


def test_overlapping_values_take_no_more_than_the_data() -> None:
    fields = [(0x8000 + index, 7, 900_000, 100) for index in range(1000)]
    data = block(TURNED, *fields, rest=bytes(1_000_000))
    (page,) = ifds.parse(data).pages
    assert sum(len(entry.raw) for entry in page.entries.values()) <= 2 * len(data)
    assert page.entries.keys() >= {0x0112, 0x8000, 0x8001}
    assert len(page.unread) >= 997


def test_overlapping_directories_take_no_more_than_the_limit() -> None:
    many = [(0x8000, 1, 1, 0)] * 3000
    data = block(*many, following=8 + 12, rest=bytes(8))
    tree = ifds.parse(data)
    assert len(tree.pages) <= 2
    with pytest.raises(IfdError, match="entries"):
        ifds.parse(block(*([(0x8000, 1, 1, 0)] * 4097)))


def test_find_points_at_the_value() -> None:
    tree = Tree(">", [Ifd()])
    tree.put(tree.pages[0], 0x0100, 7)
    tree.put(tree.pages[0], 0x0112, 6)
    data = ifds.serialise(tree)
    where = ifds.find(data, 0x0112)
    assert where is not None
    assert data[where : where + 2] == b"\0\6"
    assert ifds.find(data, 0x0999) is None
