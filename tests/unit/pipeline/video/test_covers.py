"""Covers: nothing outside of them changes, nothing of the object but its rounded cells shows, and they are held."""

import io
from collections.abc import Sequence

import av
import numpy as np
import pytest

from support import yuvframes
from support.yuvframes import TURNS, Array
from velum_pipeline import regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import StageFailed
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options
from velum_pipeline.regions import Region
from velum_pipeline.video.covers import PERIOD, WARM_UP, Covers
from velum_pipeline.video.description import FORMATS, Colour, Turn, Video
from velum_pipeline.video.planes import SUBSAMPLING, samples
from velum_pipeline.video.reader import Decoded

KEY = bytes(range(16))
DESTROYING = [Method.BLUR, Method.PIXELATE, Method.BLACKEN]
CLASSES = {name: ClassOptions.default(name) for name in ObjectClass}
FACE, PLATE, PERSON, VEHICLE = ObjectClass

Box = tuple[float, float, float, float]


def areas(video: Video, *rows: tuple[ObjectClass, Box], method: Method = Method.BLUR) -> list[Region | None]:
    """The regions of objects in the displayed picture; a rectangle in it is ignored."""
    found = Detections(
        np.array([box for _, box in rows], np.float32),
        np.ones(len(rows), np.float32),
        as_classes([object_class for object_class, _ in rows]),
    )
    options = Options(method, CLASSES, ignores=(Ignore(30, 30, 5, 3),))
    return regions.build(found, options, video.displayed_width, video.displayed_height)


def solid(x: int, y: int, width: int, height: int, kernel: float = 0.35, object_class: ObjectClass = FACE) -> Region:
    """A region at full strength all over."""
    options = ClassOptions(0.5, kernel)
    return Region(0, object_class, options, x, y, np.full((height, width), 255, np.uint8), float(width), float(height))


def hidden(
    video: Video, frame: av.VideoFrame, found: Sequence[Region | None], method: Method, *, key: bytes = KEY, at: int = 0
) -> list[Array]:
    """The planes after a fresh Covers saw one frame."""
    Covers(video, method, key).apply(Decoded(at, frame), found, range(len(found)))
    return yuvframes.cropped(frame, video)


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


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
def test_only_the_cells_means_show(name: str, method: Method) -> None:
    """The samples of each cell in another order: nothing of what is shown at full strength is different."""
    video = yuvframes.video(64, 64, name)
    one, other = yuvframes.noisy(video), yuvframes.blank(video)
    region, random = solid(8, 8, 32, 48), np.random.default_rng(5)
    for index, (was, plane) in enumerate(zip(samples(one, video), samples(other, video), strict=True)):
        plane[:] = was
        across, down = (1 + halved if index else 1 for halved in SUBSAMPLING[name])
        for top in (8, 32):
            for left in (8, 24):
                cell = np.s_[top // down : (top + 24) // down, left // across : (left + 16) // across]
                plane[cell] = random.permutation(was[cell].ravel()).reshape(was[cell].shape)
    assert not np.array_equal(yuvframes.cropped(one, video)[0], yuvframes.cropped(other, video)[0])
    first, second = hidden(video, one, [region], method), hidden(video, other, [region], method)
    assert all(map(np.array_equal, first, second))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray"])
def test_brightness_is_rounded_before_it_shows(name: str) -> None:
    """The floor's levels are 64 grey levels apart: what lies between them shows as the nearer one."""
    video = yuvframes.video(64, 64, name)
    scale = 1 << video.bits - 8
    seen = []
    for grey in (105, 120, 140, 150, 165):
        frame = yuvframes.blank(video)
        for index, plane in enumerate(samples(frame, video)):
            plane[:] = (128 if index else grey) * scale
        seen.append(hidden(video, frame, [solid(8, 8, 32, 48)], Method.BLUR)[0][8:56, 8:40].tobytes())
    # By limited range 105, 120, 140 and 150 are 104, 121, 144 and 156 of 255, next to 128; 165 is 173, next to 191.
    assert len(set(seen[:4])) == 1
    assert seen[4] != seen[0]


@pytest.mark.parametrize(("object_class", "same"), [(FACE, True), (PLATE, True), (PERSON, False), (VEHICLE, False)])
@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
def test_where_a_face_is_bright_does_not_show(object_class: ObjectClass, same: bool, method: Method) -> None:
    """Of faces and plates all that is left is one mean: there are many covers of them in a video."""
    video, shown = yuvframes.video(64, 64, "gray"), []
    for bright in (np.s_[8:32], np.s_[32:56]):
        frame = yuvframes.blank(video)
        (luma,) = samples(frame, video)
        luma[:] = 40
        luma[bright] = 210
        shown.append(hidden(video, frame, [solid(8, 8, 48, 48, 0.35, object_class)], method)[0][8:56, 8:56])
    assert np.array_equal(*shown) == same


def test_colour_is_a_tint_or_none() -> None:
    video = yuvframes.video(64, 64, "yuv444p")
    shown = []
    for cb, cr in [(128, 128), (90, 190), (110, 160), (190, 90)]:
        frame = yuvframes.blank(video)
        for plane, code in zip(samples(frame, video), (126, cb, cr), strict=True):
            plane[:] = code
        after = hidden(video, frame, [solid(8, 8, 32, 48)], Method.BLUR)
        shown.append(tuple(float(plane[8:56, 8:40].mean()) for plane in after[1:]))
    assert shown[0] == (128, 128)
    assert shown[1] == shown[2] == shown[3]  # a face's one tint
    assert shown[1][0] < 126
    assert shown[1][1] > 130


def test_cells_without_pixels_of_an_outline_are_dark_and_not_green() -> None:
    video = yuvframes.video(64, 64, "yuv444p")
    frame = yuvframes.blank(video)
    for plane, code in zip(samples(frame, video), (235, 128, 128), strict=True):
        plane[:] = code
    strength = np.full((48, 32), 255, np.uint8)
    strength[:25] = 0
    region = Region(0, FACE, ClassOptions(0.5, 0.35), 8, 8, strength, 32.0, 48.0, segment=True)
    after = hidden(video, frame, [region], Method.PIXELATE)
    assert (np.abs(after[1].astype(int) - 128) < 2).all()
    assert (np.abs(after[2].astype(int) - 128) < 2).all()


def moving(video: Video, ordinal: int) -> list[Region | None]:
    """What five tracks look like in a frame; they move, grow, come, go and cross."""
    step, found = float(ordinal % 97), []
    for track in range(5):
        left, top = 4 + 9 * track + step / 4, 3 + 7 * track + step / 9
        size = 14 + 4 * track + step / 8
        found.append((list(ObjectClass)[track % 4], (left, top, left + size, top + 1.3 * size)))
    built = areas(video, *found)
    return [None if (ordinal // 11 + track) % 4 == 0 else region for track, region in enumerate(built)]


def covered(
    video: Video, method: Method, ordinals: Sequence[int], key: bytes = KEY, renamed: int = 0
) -> dict[int, list[Array]]:
    """The planes of frames that one Covers saw, by ordinal."""
    covers, found = Covers(video, method, key), {}
    for ordinal in ordinals:
        frame = yuvframes.noisy(video, ordinal)
        covers.apply(Decoded(ordinal, frame), moving(video, ordinal), [renamed + 3 * track for track in range(5)])
        found[ordinal] = yuvframes.cropped(frame, video)
    return found


def same(one: list[Array], other: list[Array]) -> bool:
    return all(map(np.array_equal, one, other))


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "gray"])
@pytest.mark.parametrize("method", DESTROYING)
def test_a_part_is_covered_as_in_the_whole(name: str, method: Method) -> None:
    """From any frame on, with other numbers for the tracks, and with frames that did not decode."""
    video = yuvframes.video(96, 96, name, turn=Turn(1, mirrored=True))
    random = np.random.default_rng(3)
    there = [ordinal for ordinal in range(260) if random.random() > 0.05]
    whole = covered(video, method, there)
    for first in [PERIOD, 2 * PERIOD - 1, *random.integers(1, 230, 5).tolist()]:
        part = [ordinal for ordinal in there if first - WARM_UP <= ordinal < first + 30]
        found = covered(video, method, part, renamed=100)
        assert all(same(found[ordinal], whole[ordinal]) for ordinal in part if ordinal >= first)


def test_a_part_without_its_warm_up_is_covered_otherwise() -> None:
    """So the test above can fail."""
    video = yuvframes.video(96, 96)
    whole = covered(video, Method.BLUR, range(100))
    first = 2 * PERIOD - 1
    assert not same(covered(video, Method.BLUR, range(first, first + 1))[first], whole[first])
    assert not same(covered(video, Method.BLUR, range(100), key=bytes(16))[first], whole[first])


def planes_places(name: str, place: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """x, y, width, height in each plane of 32 x 48 pixels at an even place."""
    across, down = (1 + halved for halved in SUBSAMPLING[name])
    return [(*place, 32, 48), *[(place[0] // across, place[1] // down, 32 // across, 48 // down)] * 2]


@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10le"])
def test_a_cover_is_held_while_the_object_changes(method: Method, name: str) -> None:
    """All frames of a period together tell no more than one of them."""
    video = yuvframes.video(96, 96, name)
    covers = Covers(video, method, KEY)
    periods: list[set[bytes]] = [set(), set(), set()]
    for ordinal in range(3 * PERIOD):
        frame = yuvframes.noisy(video, ordinal)
        place = 8 + 2 * (ordinal % 13), 6 + 2 * (ordinal % 7)
        covers.apply(Decoded(ordinal, frame), [solid(*place, 32, 48)], [7])
        at = [np.s_[y : y + high, x : x + wide] for x, y, wide, high in planes_places(name, place)]
        shown = [plane[own].tobytes() for plane, own in zip(yuvframes.cropped(frame, video), at, strict=True)]
        periods[ordinal // PERIOD].add(b"".join(shown))
    assert [len(shown) for shown in periods] == [1, 1, 1]
    assert len(set.union(*periods)) == 3


def test_a_cover_that_comes_later_is_held_to_the_periods_end_too() -> None:
    video = yuvframes.video(96, 96)
    covers, shown = Covers(video, Method.BLUR, KEY), []
    for ordinal in range(30, 2 * PERIOD):
        frame = yuvframes.noisy(video, ordinal)
        gone = 35 <= ordinal < 40
        covers.apply(Decoded(ordinal, frame), [None if gone else solid(8, 8, 32, 48)], [7])
        shown.append(None if gone else yuvframes.cropped(frame, video)[0][8:56, 8:40].tobytes())
    first, second = shown[: PERIOD - 30], shown[PERIOD - 30 :]
    assert set(first) == {None, first[0]}
    assert set(second) == {second[0]}
    assert first[0] != second[0]


def blocks_of(luma: Array) -> int:
    """How many different samples there are: of ``pixelate``, at most the number of blocks."""
    return len(np.unique(luma))


def test_a_cover_has_no_more_cells_than_the_floor_lets_through_now() -> None:
    """An object that shrinks is shown as fewer cells, and stays so; one that grows keeps those that were made."""
    video = yuvframes.video(96, 96, "gray")
    covers = Covers(video, Method.PIXELATE, KEY)

    def shown(ordinal: int, width: int, height: int) -> Array:
        frame = yuvframes.noisy(video, ordinal)
        covers.apply(Decoded(ordinal, frame), [solid(8, 8, width, height, kernel=0.5)], [1])
        return yuvframes.cropped(frame, video)[0][8 : 8 + height, 8 : 8 + width]

    assert blocks_of(shown(0, 60, 60)) == 4
    assert blocks_of(shown(1, 80, 80)) == 4
    assert blocks_of(shown(2, 6, 80)) == 2
    assert blocks_of(shown(3, 6, 6)) == 1
    assert blocks_of(shown(4, 80, 80)) == 1
    assert blocks_of(shown(PERIOD, 80, 80)) == 4


def test_fewer_cells_are_the_held_ones_averaged() -> None:
    """No new look at the object: with the same key and the same first frame, later frames' pixels do not matter."""
    video = yuvframes.video(96, 96)
    found = []
    for seed in (1, 2):
        covers = Covers(video, Method.BLUR, KEY)
        covers.apply(Decoded(0, yuvframes.noisy(video)), [solid(8, 8, 60, 60)], [1])
        frame = yuvframes.noisy(video, seed)
        covers.apply(Decoded(1, frame), [solid(8, 8, 6, 60)], [1])
        found.append(yuvframes.cropped(frame, video)[0][8:68, 8:14])
    assert np.array_equal(*found)
    assert (np.ptp(found[0], axis=1) == 0).all()  # one cell across


def test_tracks_that_are_gone_are_forgotten() -> None:
    video = yuvframes.video(32, 32, "gray")
    covers, most = Covers(video, Method.BLUR, KEY), 0
    for ordinal in range(0, 50 * PERIOD, 6):
        tracks = [20 * ordinal + track for track in range(20)]
        covers.apply(Decoded(ordinal, yuvframes.noisy(video)), [solid(4, 4, 16, 16)] * 20, tracks)
        most = max(most, len(covers._held))
    assert most == 20 * PERIOD / 6


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


def test_later_regions_do_not_uncover_earlier_ones() -> None:
    """Where two are, what the second averages is the first's cover: here dark, though what it hid was white."""
    video, shown = yuvframes.video(64, 64, "gray"), []
    for key in range(20):
        frame = yuvframes.blank(video)
        (luma,) = samples(frame, video)
        luma[:] = 16
        luma[20:36, 20:36] = 235
        twice = [solid(4, 4, 56, 56, kernel=1.0), solid(20, 20, 16, 16, kernel=1.0)]
        after = hidden(video, frame, twice, Method.PIXELATE, key=key.to_bytes(16, "little"))[0]
        shown.append(after[20:36, 20:36].mean())
    assert np.mean(shown) < 90


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
