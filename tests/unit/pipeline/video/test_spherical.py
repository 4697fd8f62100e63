"""A panorama stays one: the boxes that say so are found in whatever form, and broken ones do no harm."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from support import videos
from support.segmentfiles import described, segmented
from velum_pipeline.media.kinds import MATROSKA, MP4
from velum_pipeline.options import Gps
from velum_pipeline.video import spherical
from velum_pipeline.video.join import join
from velum_pipeline.video.trackentry import with_boxes

XML = b"""<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="r" xmlns:GSpherical="g"><GSpherical:Spherical>true\
</GSpherical:Spherical><GSpherical:Stitched>true</GSpherical:Stitched><GSpherical:StitchingSoftware>Velum\
</GSpherical:StitchingSoftware><GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType>\
</rdf:SphericalVideo>"""
YAW = 90


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def full(name: bytes, content: bytes) -> bytes:
    return box(name, bytes(4) + content)


V2 = full(b"st3d", b"\1") + box(
    b"sv3d",
    full(b"svhd", b"Velum\0")
    + box(b"proj", full(b"prhd", struct.pack(">3i", YAW << 16, 0, 0)) + full(b"equi", bytes(16))),
)
V1 = box(b"uuid", spherical.SPHERICAL_V1 + XML)


def in_track(data: bytes, boxes: bytes) -> bytes:
    """The boxes at the end of the first track; its moov comes last, so that nothing else moves."""
    grown = bytearray(data)
    moov = data.rindex(b"moov") - 4
    trak = data.index(b"trak", moov) - 4
    for at in (moov, trak):
        struct.pack_into(">I", grown, at, int.from_bytes(data[at : at + 4], "big") + len(boxes))
    end = trak + int.from_bytes(data[trak : trak + 4], "big")
    grown[end:end] = boxes
    return bytes(grown)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    data = videos.made("h264.mp4", tmp_path_factory.mktemp("clips")).read_bytes()
    assert data.rindex(b"moov") > data.index(b"mdat")
    return data


@pytest.mark.parametrize(("put", "boxes"), [(with_boxes, V2), (in_track, V1)], ids=["v2", "v1"])
def test_a_panorama_stays_one(tmp_path: Path, plain: bytes, put: Callable[[bytes, bytes], bytes], boxes: bytes) -> None:
    source, target = tmp_path / "sphere.mp4", tmp_path / "out.mp4"
    source.write_bytes(put(plain, boxes))
    video, parts = segmented(source, tmp_path, (0, 10))
    join(partial(open, source, "rb"), video, parts, target, gps=Gps.STRIP)
    head = target.read_bytes().partition(b"mdat")[0]
    assert b"sv3d" in head
    assert b"equi" in head
    if boxes == V2:
        assert b"st3d" in head
        assert struct.pack(">i", YAW << 16) in head


def test_what_is_no_panorama_becomes_none(tmp_path: Path, plain: bytes) -> None:
    source, target = tmp_path / "flat.mp4", tmp_path / "out.mp4"
    source.write_bytes(plain)
    video, parts = segmented(source, tmp_path, (0,))
    join(partial(open, source, "rb"), video, parts, target)
    assert b"sv3d" not in target.read_bytes()


def found(data: bytes, track: int = 1) -> bytes:
    return spherical.boxes(lambda: io.BytesIO(data), replace(described(), media_type=MP4), track)


def test_boxes_are_those_of_the_track_that_is_asked_for(plain: bytes) -> None:
    assert found(with_boxes(plain, V2)) == V2
    assert found(in_track(plain, V1)) == V1
    assert found(with_boxes(plain, V2), track=2) == b""
    assert found(plain) == b""


def test_other_containers_are_not_looked_into() -> None:
    def never() -> io.BytesIO:
        raise AssertionError("it was opened")

    assert spherical.boxes(never, replace(described(), media_type=MATROSKA), 1) == b""


def test_a_large_box_is_no_projection(plain: bytes) -> None:
    assert found(with_boxes(plain, box(b"sv3d", bytes(2**17)))) == b""


@given(at=some.integers(0, 2**16), by=some.binary(min_size=1, max_size=8))
def test_broken_boxes_do_no_harm(plain: bytes, at: int, by: bytes) -> None:
    data = bytearray(with_boxes(plain, V2))
    start = data.rindex(b"moov") + at % (len(data) - data.rindex(b"moov"))
    data[start : start + len(by)] = by
    assert isinstance(found(bytes(data)), bytes)


@given(some.binary(max_size=200))
def test_any_bytes_do_no_harm(data: bytes) -> None:
    assert found(box(b"ftyp", b"isom") + box(b"moov", box(b"trak", data))) == b""
