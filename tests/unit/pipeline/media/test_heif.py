"""HEIF's boxes: how a picture was coded travels, and no table makes the reader go on for ever."""

import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.corpus import ACCEPTED, heifs
from support.corpus.entry import Entry
from velum_pipeline import media
from velum_pipeline.errors import CorruptMedia, MediaError, UnsupportedMedia
from velum_pipeline.media import heif, isobmff
from velum_pipeline.options import Limits

OF_BOTH = [entry for entry in ACCEPTED if entry.form in ("heic", "avif")]
NCLX = {"heic Display P3": heifs.DISPLAY_P3, "heic BT.2020 PQ": heifs.BT2020_PQ, "heic limited range": heifs.LIMITED}


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def file(*parts: bytes, brand: bytes = b"heic") -> bytes:
    return box(b"ftyp", brand + bytes(4)) + box(b"meta", bytes(4) + b"".join(parts))


@pytest.mark.parametrize("entry", OF_BOTH, ids=lambda entry: entry.name)
def test_how_it_was_coded_travels(entry: Entry) -> None:
    """Chroma, bits, tiles, colours and profile: what is decoded again was coded as the input was."""
    first = media.decode(entry.make(), Limits())
    again = media.decode(media.encode(first), Limits())
    assert again.encoding == first.encoding
    assert again.metadata.icc == first.metadata.icc
    if entry.name in NCLX:
        *values, full = NCLX[entry.name]
        assert again.metadata.extra == struct.pack(">3HB", *values, full << 7)
    if entry.name == "avif Display P3":
        assert again.metadata.extra is not None
        assert again.metadata.extra[:2] == b"\0\x0c"
    assert again.layout is first.layout


def test_tiles_come_out_as_tiles() -> None:
    picture = media.decode(heifs.heic(tile_size=64), Limits())
    assert picture.encoding.tile == 64
    coded = media.encode(picture)
    found = isobmff.items(coded, isobmff.meta_box(coded))  # type: ignore[arg-type]
    assert found.items[found.primary].kind == b"grid"
    assert len(found.referred(b"dimg", found.primary)) == 4


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_samples_are_not_made_shallow(bits: int) -> None:
    ramp = np.repeat(np.arange(0, 2**16, 64, dtype=np.uint16)[None], 64, axis=0)
    picture = media.decode(heifs.heic(ramp, "L;16", bit_depth=bits, quality=100), Limits())
    again = media.decode(media.encode(picture, quality=100), Limits()).native
    assert len(np.unique(again)) > 700
    assert np.abs(again.astype(int) - ramp).max() < 300


def test_a_table_of_nothing_does_not_go_on_for_ever() -> None:
    """Extents without offsets and lengths take no bytes: 65535 of them for each item."""
    endless = b"".join(struct.pack(">HHH", number, 0, 0xFFFF) for number in range(4000))
    data = file(box(b"iloc", bytes(4) + b"\0\0" + struct.pack(">H", 4000) + endless))
    began = time.process_time()
    with pytest.raises(CorruptMedia, match="pieces"):
        heif.read(data, b"hvc1")
    with pytest.raises(CorruptMedia):
        media.decode(data, Limits())
    assert time.process_time() - began < 5
    many = b"".join(struct.pack(">HHH", number, 0, 0) for number in range(5000))
    with pytest.raises(CorruptMedia, match="items"):
        heif.read(file(box(b"iloc", bytes(4) + b"\0\0" + struct.pack(">H", 5000) + many)), b"hvc1")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((), "primary"),
        ((box(b"pitm", bytes(4) + b"\0\1"),), "primary"),
        ((box(b"pitm", b"\0"),), "ends early"),
        ((box(b"iprp", b"\0\0\xff\xffipco"),), "does not fit"),
    ],
)
def test_broken_boxes_are_named(parts: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(CorruptMedia):
        media.decode(file(*parts), Limits())
    with pytest.raises(CorruptMedia, match=why):
        heif.read(file(*parts), b"hvc1")


def test_what_the_picture_is_made_of_must_be_known() -> None:
    derived = heifs.heic().replace(b"hvc1", b"iovl", 1)
    with pytest.raises(UnsupportedMedia, match="iovl"):
        media.decode(derived, Limits())


@given(
    st.lists(st.tuples(st.sampled_from([b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat"]), st.binary(max_size=60)))
)
def test_no_boxes_confuse_the_reader(parts: list[tuple[bytes, bytes]]) -> None:
    data = file(*(box(kind, body) for kind, body in parts))
    heif.truncation(data, data, len(data))
    with pytest.raises(MediaError):
        media.decode(data, Limits())


@pytest.mark.parametrize("mark", [b"ispe", b"ipma"])
def test_a_picture_that_libheif_does_not_see_is_no_picture(mark: bytes) -> None:
    """It drops items whose properties it cannot read, and then has none to give."""
    data = bytearray(heifs.heic())
    at = data.index(mark)
    if mark == b"ispe":
        data[at - 1] = 0  # the box goes on to the end of its parent
    else:
        data[at + 16] = 99  # of four properties
    with pytest.raises(CorruptMedia):
        media.decode(bytes(data), Limits())


def test_a_file_of_empty_boxes_does_not_keep_a_server_busy() -> None:
    """The same time whether it is one MiB, which the ingress looks at, or all that may be uploaded."""
    data = box(b"ftyp", b"heic" + bytes(4)) + box(b"free", b"") * 2_000_000
    started = time.process_time()
    with pytest.raises(CorruptMedia):
        media.decode(data, Limits())
    assert time.process_time() - started < 1
    with pytest.raises(isobmff.BoxError, match="side by side"):
        isobmff.meta_box(data)
