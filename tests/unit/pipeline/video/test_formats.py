"""Which format is worked on in, and that samples get there unchanged wherever they can."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.videos.plain import PLAIN
from velum_pipeline.errors import UnsupportedMedia
from velum_pipeline.video.description import FORMATS, Colour
from velum_pipeline.video.formats import Conversion, has_opacity, stated, worked_on

EVEN, ODD_WIDE, ODD_HIGH = (160, 120), (161, 120), (160, 121)


@pytest.mark.parametrize(
    ("source", "size", "wanted"),
    [
        ("yuv420p", EVEN, "yuv420p"),
        ("yuv420p", ODD_WIDE, "yuv444p"),
        ("yuv420p", ODD_HIGH, "yuv444p"),
        ("yuv422p", ODD_HIGH, "yuv422p"),
        ("yuv422p10le", ODD_WIDE, "yuv444p10le"),
        ("yuvj420p", EVEN, "yuv420p"),
        ("yuvj444p", ODD_WIDE, "yuv444p"),
        ("nv12", EVEN, "yuv420p"),
        ("p010le", EVEN, "yuv420p10le"),
        ("yuv420p12le", EVEN, "yuv420p10le"),
        ("yuv444p16le", EVEN, "yuv444p10le"),
        ("yuv440p", EVEN, "yuv444p"),
        ("yuv411p", EVEN, "yuv422p"),
        ("yuv410p", EVEN, "yuv420p"),
        ("yuyv422", EVEN, "yuv422p"),
        ("gray", ODD_WIDE, "gray"),
        ("gray12le", EVEN, "gray10le"),
        ("ya8", EVEN, "gray"),
        ("rgb24", EVEN, "yuv444p"),
        ("gbrp10le", EVEN, "yuv444p10le"),
        ("pal8", EVEN, "yuv444p"),
        ("yuva420p", EVEN, "yuv444p"),
        ("yuva444p12le", EVEN, "yuv444p10le"),
    ],
)
def test_the_format_that_loses_least(source: str, size: tuple[int, int], wanted: str) -> None:
    assert worked_on(source, *size) == wanted
    assert wanted in FORMATS


def test_formats_that_are_not_known_are_named() -> None:
    with pytest.raises(UnsupportedMedia, match="samples of format yuv777p"):
        worked_on("yuv777p", 160, 120)


def test_what_is_told_of_colours_after_conversion() -> None:
    told = Colour(0, 1, 1, 0)
    assert stated("gbrp", told, 480) == Colour(1, 1, 1, 6)
    assert stated("gbrp", told, 720) == Colour(1, 1, 1, 1)
    assert stated("yuvj420p", Colour(), 480) == Colour(2, 2, 2, 2)
    assert stated("yuv420p", told, 480) == told


@pytest.mark.parametrize("source", ["yuvj420p", "yuvj422p", "yuvj444p"])
@pytest.mark.parametrize("told", [0, 2])
def test_full_range_stays_full(source: str, told: int) -> None:
    given, made = through(source, Colour(range=told))
    for before, after in zip(given, made, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("told", [0, 1, 2])
def test_planes_that_are_only_packed_otherwise_are_the_same_samples(told: int) -> None:
    given, made = through("nv12", Colour(range=told))
    np.testing.assert_array_equal(made[0], given[0])
    np.testing.assert_array_equal(made[1], given[1][:, ::2])
    np.testing.assert_array_equal(made[2], given[1][:, 1::2])


@pytest.mark.parametrize("source", FORMATS)
def test_a_format_of_ours_is_not_touched(source: str) -> None:
    given, made = through(source, Colour())
    for before, after in zip(given, made, strict=True):
        np.testing.assert_array_equal(after, before)


def test_twelve_bits_become_ten_without_reaching_past_them() -> None:
    given, made = through("yuv420p12le", Colour())
    assert made[0].max() == 1023
    assert np.abs(given[0] / 4 - made[0]).max() < 1


def test_ten_bits_never_hold_more_whatever_a_decoder_gives() -> None:
    frame = av.VideoFrame(160, 120, "yuv420p10le")
    for plane in frame.planes:
        np.frombuffer(plane, np.uint16)[:] = 5000  # type: ignore[call-overload]
    video = replace(PLAIN, pixel_format="yuv420p10le", codec="rawvideo")
    assert max(plane.max() for plane in planes(Conversion(video)(frame))) == 1023


def test_hidden_pixels_are_black() -> None:
    frame = av.VideoFrame(160, 120, "yuva444p")
    for plane, value in zip(frame.planes, (200, 90, 30, 255), strict=True):
        np.frombuffer(plane, np.uint8)[:] = value  # type: ignore[call-overload]
    opacity = np.frombuffer(frame.planes[3], np.uint8).reshape(120, -1)  # type: ignore[call-overload]
    opacity[:40, :160], opacity[40:80, :160] = 0, 128
    made = planes(Conversion(replace(PLAIN, pixel_format="yuv444p", source_format="yuva444p"))(frame))
    assert [set(plane[:40].ravel()) for plane in made] == [{16}, {128}, {128}]
    assert [set(plane[80:].ravel()) for plane in made] == [{200}, {90}, {30}]
    assert [int(plane[60, 60]) for plane in made] == [108, 109, 79]
    full = replace(PLAIN, pixel_format="yuv444p", colour=Colour(range=2))
    assert [int(plane[0, 0]) for plane in planes(Conversion(full)(frame))] == [0, 128, 128]


@pytest.mark.parametrize(("source", "opacity"), [("yuva420p", True), ("rgba", True), ("ya8", True), ("rgb24", False)])
def test_knows_what_has_opacity(source: str, opacity: bool) -> None:
    assert has_opacity(source) == opacity


def through(source: str, colour: Colour) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """A frame of noise and what becomes of it."""
    chance, frame = np.random.default_rng(0), av.VideoFrame(160, 120, source)
    bits = max(each.bits for each in frame.format.components)
    for plane in frame.planes:
        samples = np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8)  # type: ignore[call-overload]
        samples[:] = chance.integers(0, 1 << bits, len(samples))
    given = [plane.copy() for plane in planes(frame)]
    video = replace(PLAIN, source_format=source, pixel_format=worked_on(source, 160, 120), codec="ffv1")
    return given, planes(Conversion(replace(video, colour=stated(source, colour, 120)))(frame))


def planes(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Views of a frame's planes; chroma that is packed in pairs comes as one plane of twice the width."""
    kind = np.uint16 if max(each.bits for each in frame.format.components) > 8 else np.uint8
    widths = [plane.width for plane in frame.planes]
    if frame.format.name == "nv12":
        widths[1] *= 2
    return [
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, :width]  # type: ignore[call-overload]
        for plane, width in zip(frame.planes, widths, strict=True)
    ]
