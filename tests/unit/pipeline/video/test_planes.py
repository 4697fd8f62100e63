"""Planes as arrays, pictures for detectors, and turns, each against the plainest way to get it."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import yuvframes
from support.yuvframes import TURNS, Array
from velum_pipeline.errors import StageFailed
from velum_pipeline.options import ClassOptions, ObjectClass
from velum_pipeline.regions import Region
from velum_pipeline.video import planes, turns
from velum_pipeline.video.colour import Coding
from velum_pipeline.video.description import FORMATS, Colour, Turn, Video

SIZES = [(34, 18), (130, 98), (64, 64)]
ODD = [(33, 17), (1, 1), (131, 97), (2, 65)]
CASES = [(name, size) for name in FORMATS for size in SIZES + ("444" in name or "gray" in name) * ODD]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_planes_are_views_that_write_through(name: str, size: tuple[int, int]) -> None:
    video = yuvframes.video(*size, name)
    frame = yuvframes.noisy(video)
    for plane in planes.samples(frame, video):
        assert plane.flags.c_contiguous
        plane[-1, 0] = 77
    again = planes.samples(frame, video)
    assert len(again) == (1 if "gray" in name else 3)
    assert all(int(plane[-1, 0]) == 77 for plane in again)
    if "gray" in name or name == "yuv444p":
        packed = frame.to_ndarray()
        planar = packed if packed.ndim == 2 else np.moveaxis(packed, packed.shape.index(3), 0)
        assert np.array_equal(planar.reshape(len(again), size[1], size[0]), np.stack(yuvframes.cropped(frame, video)))


@pytest.mark.parametrize("other", [(34, 18, "yuv422p"), (36, 18, "yuv420p"), (34, 20, "yuv420p")])
def test_a_frame_of_another_kind_is_refused(other: tuple[int, int, str]) -> None:
    video = yuvframes.video(34, 18)
    frame = av.VideoFrame(*other)
    with pytest.raises(StageFailed, match="yuv4"):
        planes.samples(frame, video)
    with pytest.raises(StageFailed, match="yuv4"):
        planes.upright(frame, video)


def patches(video: Video, seed: int = 0) -> av.VideoFrame:
    """A frame in blocks of 8 x 8 pixels, so that no way to spread chroma between samples matters inside of them."""
    frame, random = yuvframes.blank(video), np.random.default_rng(seed)
    across, down = planes.SUBSAMPLING[video.pixel_format]
    scale = 1 << video.bits - 8
    for index, plane in enumerate(planes.samples(frame, video)):
        wide, high = (8 >> int(across), 8 >> int(down)) if index else (8, 8)
        least, most = (100, 156) if index else (16, 236)
        blocks = random.integers(least * scale, most * scale, (plane.shape[0] // high + 1, plane.shape[1] // wide + 1))
        plane[:] = np.kron(blocks, np.ones((high, wide), int))[: plane.shape[0], : plane.shape[1]]
    return frame


def expected(frame: av.VideoFrame, video: Video) -> Array:
    """BGR as stored, by the equations in floating point."""
    across, down = planes.SUBSAMPLING[video.pixel_format]
    luma, *chroma = yuvframes.cropped(frame, video)
    wide = [np.repeat(np.repeat(plane, 1 + across, 1), 1 + down, 0)[: video.height, : video.width] for plane in chroma]
    return np.broadcast_to(
        Coding.of(video).colours(np.stack([luma, *wide], axis=-1).astype(np.float32)), (*luma.shape, 3)
    )


@pytest.mark.parametrize(("name", "size"), CASES)
@pytest.mark.parametrize("colour", [Colour(1, 1, 1, 1), Colour(2, 2, 2, 6), Colour(1, 9, 16, 9), Colour()])
def test_detectors_see_the_right_colours(name: str, size: tuple[int, int], colour: Colour) -> None:
    video = yuvframes.video(*size, name, colour=colour)
    frame = patches(video)
    found = planes.upright(frame, video)
    assert found.dtype == np.uint8
    assert found.shape == (size[1], size[0], 3)
    assert found.flags.c_contiguous
    inner = [np.arange(length) % 8 for length in reversed(size)]
    rows, columns = (np.flatnonzero((place >= 3) & (place <= 4)) for place in inner)
    difference = np.abs(found - expected(frame, video))[np.ix_(rows, columns)]
    assert difference.size or min(size) < 4
    # FFmpeg's fast way cuts off where ours rounds.
    assert difference.max(initial=0) <= (3.0 if name in planes.BY_SWSCALE else 0.6)


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le", "yuv444p", "yuv444p10le", "gray", "gray10le"])
@pytest.mark.parametrize("reach", [1, 2])
def test_our_conversion_is_exact_for_every_code(name: str, reach: int) -> None:
    video = yuvframes.video(66, 50, name, colour=Colour(reach, 1, 1, 1))
    frame = yuvframes.noisy(video)
    assert np.abs(planes.upright(frame, video) - expected(frame, video)).max() <= 0.6


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "gray10le"])
def test_detectors_see_what_is_displayed(name: str, turn: Turn) -> None:
    frame = patches(yuvframes.video(40, 24, name))
    upright = planes.upright(frame, yuvframes.video(40, 24, name))
    turned = yuvframes.video(40, 24, name, turn=turn)
    found = planes.upright(frame, turned)
    assert found.shape == (turned.displayed_height, turned.displayed_width, 3)
    assert found.flags.c_contiguous
    assert np.array_equal(found, yuvframes.shown(upright, turn))


def test_looking_changes_nothing() -> None:
    for name in FORMATS:
        video = yuvframes.video(130, 98, name)
        frame = yuvframes.noisy(video)
        before = yuvframes.cropped(frame, video)
        planes.upright(frame, video)[:] = 9
        planes.small(frame)[:] = 9
        assert all(map(np.array_equal, before, yuvframes.cropped(frame, video)))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray"])
@pytest.mark.parametrize(
    ("size", "most"),
    [
        ((1920, 1080), (64, 40)),
        ((1080, 1920), (40, 72)),
        ((160, 120), (80, 60)),
        ((2, 2), (2, 2)),
        ((4096, 2), (64, 1)),
    ],
)
def test_the_small_picture_is_the_large_one_averaged(name: str, size: tuple[int, int], most: tuple[int, int]) -> None:
    video = yuvframes.video(*size, name)
    frame = yuvframes.blank(video)
    scale = 1 << video.bits - 8
    ramp = np.linspace(20, 230, size[0])[None] * np.linspace(0.5 if size[1] > 2 else 1, 1, size[1])[:, None]
    planes.samples(frame, video)[0][:, : size[0]] = ramp * scale
    found = planes.small(frame)
    assert found.dtype == np.uint8
    assert found.shape[1] <= most[0]
    assert found.shape[0] <= most[1]
    assert max(found.shape) >= min(60, max(size))
    rows = ((np.arange(found.shape[0]) + 0.5) * size[1] / found.shape[0]).astype(int)
    columns = ((np.arange(found.shape[1]) + 0.5) * size[0] / found.shape[1]).astype(int)
    assert np.abs(found - ramp[np.ix_(rows, columns)]).max() < 12


@pytest.mark.parametrize("turn", TURNS)
def test_turns_are_numpys_and_go_back(turn: Turn) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (5, 8, 3), np.uint8)
    for stored in (pixels, pixels[..., 0].copy()):
        displayed = turns.displayed(stored, turn)
        assert np.array_equal(displayed, yuvframes.shown(stored, turn))
        assert np.array_equal(turns.stored(displayed, turn), stored)
        assert np.array_equal(turns.displayed_view(stored, turn), displayed)
        assert np.shares_memory(turns.displayed_view(stored, turn), stored)


@given(data=st.data(), turn=st.sampled_from(TURNS))
def test_regions_are_stored_where_their_pixels_are(data: st.DataObject, turn: Turn) -> None:
    width, height = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    wide, high = (height, width) if turn.quarters % 2 else (width, height)
    x, y = data.draw(st.integers(0, wide - 1)), data.draw(st.integers(0, high - 1))
    across, down = data.draw(st.integers(1, wide - x)), data.draw(st.integers(1, high - y))
    strength = np.arange(1, across * down + 1, dtype=np.uint8).reshape(down, across)
    options = ClassOptions.default(ObjectClass.PERSON)
    region = Region(3, ObjectClass.PERSON, options, x, y, strength, 2.5 * across, 0.5 * down, segment=True)
    found = turns.stored_region(region, turn, width, height)
    displayed = np.zeros((high, wide), np.uint8)
    displayed[region.rows, region.columns] = strength
    stored = np.zeros((height, width), np.uint8)
    stored[found.rows, found.columns] = found.strength
    assert np.array_equal(stored, yuvframes.kept(displayed, turn))
    assert found.strength.flags.c_contiguous
    size = (region.object_width, region.object_height)
    assert (found.object_width, found.object_height) == (size[::-1] if turn.quarters % 2 else size)
    assert (found.detection, found.segment, found.options) == (3, True, options)
