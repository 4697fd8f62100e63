"""Covers are made once in a period and held, whichever process made them."""

from collections.abc import Sequence

import numpy as np
import pytest

from support import yuvframes
from support.covering import DESTROYING, KEY, areas, same, solid
from support.yuvframes import Array
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.regions import Region
from velum_pipeline.video.covers import PERIOD, WARM_UP, Covers
from velum_pipeline.video.description import Turn, Video
from velum_pipeline.video.planes import SUBSAMPLING
from velum_pipeline.video.reader import Decoded


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
