"""Covers: what they hide is hidden, nothing outside of them changes, and what does not belong is refused."""

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest

from support import yuvframes
from support.covering import DESTROYING, FACE, KEY, PERSON, PLATE, VEHICLE, areas, hidden, same, solid
from support.yuvframes import TURNS, Array
from velum_pipeline.errors import StageFailed
from velum_pipeline.options import Method
from velum_pipeline.regions import Region
from velum_pipeline.video.covers import Covers
from velum_pipeline.video.description import FORMATS, Colour, Turn, Video
from velum_pipeline.video.planes import samples
from velum_pipeline.video.reader import Decoded


def strength_of(video: Video, found: Sequence[Region | None]) -> Array:
    """The highest strength per stored pixel."""
    strength = np.zeros((video.displayed_height, video.displayed_width), np.uint8)
    for region in found:
        if region is not None:
            own = strength[region.rows, region.columns]
            np.maximum(own, region.strength, out=own)
    return yuvframes.kept(strength, video.turn)


CASES = [
    (name, size, order)
    for name in FORMATS
    for size in [(96, 66), (95, 67)]
    for order in ["progressive", "tt"]
    if not (("420" in name or "422" in name) and size[0] % 2) and (order == "progressive" or "420" in name)
]


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("method", DESTROYING)
@pytest.mark.parametrize(("name", "size", "order"), CASES)
def test_nothing_else_changes(name: str, size: tuple[int, int], order: str, method: Method, turn: Turn) -> None:
    video = yuvframes.video(*size, name, turn=turn, field_order=order)
    frame = yuvframes.noisy(video)
    before, beside = yuvframes.cropped(frame, video), yuvframes.padding(frame, video)
    found = areas(
        video, (FACE, (3, 5, 25.5, 31)), (PLATE, (40, 20, 61, 27)), (PERSON, (25, 26, 48, 62)), (FACE, (50, 50, 90, 90))
    )
    after = hidden(video, frame, found, method)
    strength = strength_of(video, found)
    strengths = [strength, *[yuvframes.chroma(strength, video)] * 2]
    for plane, was, touched in zip(after, before, strengths, strict=False):
        assert plane.shape == was.shape == touched.shape
        assert np.array_equal(plane[touched == 0], was[touched == 0])
        full = touched == 255
        assert full.sum() > 100
        assert (plane[full] != was[full]).mean() > 0.9
        assert plane.max() < 1 << video.bits
    assert all(map(np.array_equal, yuvframes.padding(frame, video), beside))


@pytest.mark.parametrize(("name", "size", "order"), CASES)
@pytest.mark.parametrize("reach", [1, 2])
def test_black_is_black_and_has_no_colour(name: str, size: tuple[int, int], order: str, reach: int) -> None:
    video = yuvframes.video(*size, name, colour=Colour(range=reach), field_order=order)
    found = areas(video, (VEHICLE, (3, 5, 25.5, 31)), (FACE, (40, 20, 61, 37)))
    after = hidden(video, yuvframes.noisy(video), found, Method.BLACKEN)
    strength = strength_of(video, found)
    scale = 1 << video.bits - 8
    assert set(after[0][strength == 255].tolist()) == {0 if reach == 2 else 16 * scale}
    for plane in after[1:]:
        assert set(plane[yuvframes.chroma(strength, video) == 255].tolist()) == {128 * scale}


def interlaced(width: int, height: int) -> av.VideoFrame:
    """A decoded frame that says so."""
    coded = io.BytesIO()
    with av.open(coded, "w", format="nut") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        container.mux(stream.encode(yuvframes.noisy(yuvframes.video(width, height))))
        container.mux(stream.encode(None))
    coded.seek(0)
    with av.open(coded) as container:
        frame = next(container.decode(video=0))
    frame.make_writable()
    return frame


def test_frames_that_call_themselves_interlaced_are_taken_so() -> None:
    """A stream can change from frame to frame."""
    video = yuvframes.video(96, 64)
    odd = solid(20, 21, 32, 33)
    frame = interlaced(96, 64)
    assert frame.interlaced_frame
    after = hidden(video, frame, [odd], Method.BLACKEN)
    fields = yuvframes.chroma(strength_of(video, [odd]), yuvframes.video(96, 64, field_order="tt"))
    assert (after[1][fields == 255] == 128).all()
    assert fields.sum() > yuvframes.chroma(strength_of(video, [odd]), video).sum()


def test_detect_changes_nothing() -> None:
    video = yuvframes.video(64, 64)
    frame = yuvframes.noisy(video)
    before = yuvframes.cropped(frame, video)
    assert same(hidden(video, frame, [solid(4, 4, 30, 30)], Method.DETECT), before)


@pytest.mark.parametrize("place", [(40, 0, 30, 30), (0, 40, 30, 30), (-1, 0, 30, 30), (0, -1, 30, 30)])
@pytest.mark.parametrize("turn", [Turn(), Turn(1), Turn(2, mirrored=True)])
def test_a_region_outside_the_picture_is_refused(place: tuple[int, int, int, int], turn: Turn) -> None:
    """Compiled loops write wherever they are told to."""
    video = yuvframes.video(64, 64, turn=turn)
    with pytest.raises(StageFailed, match="outside"):
        hidden(video, yuvframes.noisy(video), [solid(*place)], Method.BLUR)


def test_what_does_not_belong_to_the_video_is_refused() -> None:
    video = yuvframes.video(64, 64)
    covers = Covers(video, Method.BLUR, KEY)
    with pytest.raises(StageFailed, match="yuv422p"):
        covers.apply(Decoded(0, yuvframes.noisy(yuvframes.video(64, 64, "yuv422p"))), [solid(4, 4, 30, 30)], [1])
    with pytest.raises(ValueError, match="shorter"):
        covers.apply(Decoded(0, yuvframes.noisy(video)), [solid(4, 4, 30, 30)], [])
    with pytest.raises(ValueError, match="16"):
        Covers(video, Method.BLUR, b"short")


@pytest.mark.parametrize("reach", [1, 2])
def test_samples_of_ten_bits_stay_below_1024(reach: int) -> None:
    """x264 ends the process at larger ones."""
    video = yuvframes.video(96, 66, "yuv444p10le", colour=Colour(range=reach))
    for ordinal in range(40):
        frame = yuvframes.blank(video)
        for plane in samples(frame, video):
            plane[:] = 1023
        for method in DESTROYING:
            found = areas(video, (FACE, (3, 5, 45, 60)), (PLATE, (40, 20, 61, 27)), method=method)
            key = ordinal.to_bytes(16, "little")
            assert max(plane.max() for plane in hidden(video, frame, found, method, key=key)) <= 1023
