"""What is missed is covered where its pixels went, by boxes not much larger than it, and each part says what all do."""

from __future__ import annotations

import numpy as np
import pytest

from unit.pipeline.tracks.made import SIZE as PICTURE
from unit.pipeline.tracks.made import THRESHOLDS, Frame, Street
from unit.pipeline.tracks.scenes import SIZE, Scene, texture
from unit.pipeline.tracks.test_locality import same
from unit.pipeline.tracks.ways import clipped, covered
from velum_pipeline.tracks import Tracked, Tracker
from velum_pipeline.tracks.follow import follow
from velum_pipeline.tracks.trails import elsewhere, there

FRAMES = 70
STILL = np.zeros((FRAMES, 2))
MIDDLE = np.tile([160.0, 120.0], (FRAMES, 1))
TIMES = np.arange(FRAMES)[:, None]
ENOUGH = 0.95


def shake(pixels: float, seed: int = 1) -> np.ndarray:
    """A hand that walks: back and forth within half a second, (T, 2)."""
    random = np.random.default_rng(seed)
    phase, pace = random.uniform(0, 2 * np.pi, (2, 2)), random.uniform(0.25, 0.5, (2, 2))
    return sum(pixels * np.sin(pace[n] * TIMES + phase[n]) for n in range(2)) * np.array([1.0, 0.7])


def post(centre: float, width: float) -> np.ndarray:
    return np.tile([centre - width / 2, -160.0, centre + width / 2, 400.0], (FRAMES, 1))


SCENES = {
    "still": Scene(MIDDLE, STILL),
    "shaken": Scene(MIDDLE, shake(12.0)),
    "a small one, shaken": Scene(MIDDLE, shake(8.0), side=10.0),
    "a large one, shaken": Scene(MIDDLE, shake(20.0), side=90.0),
    "walking, shaken": Scene(MIDDLE + (TIMES - 35) * [2.0, 0.3], shake(10.0)),
    "setting off": Scene(MIDDLE + 0.12 * np.maximum(TIMES - 30, 0) ** 1.6 * [1.0, 0.2], shake(6.0)),
    "without texture": Scene(MIDDLE, shake(10.0), contrast=0.5),
    "lights go on": Scene(MIDDLE, shake(8.0), light=np.where(np.arange(FRAMES) < 34, 0.6, 1.0)),
    "it gets dark": Scene(MIDDLE, shake(8.0), light=np.linspace(1.0, 0.4, FRAMES)),
}


def exposed(scene: Scene, answers: list[Tracked], frames: set[int]) -> list[tuple[int, float]]:
    boxes = scene.boxes()
    shares = [(n, covered(clipped(boxes[n], SIZE), answers[n].detections.boxes)) for n in sorted(frames)]
    return [(n, round(share, 3)) for n, share in shares if share < ENOUGH]


def spread(scene: Scene, answers: list[Tracked]) -> float:
    """The area of what was filled in, by the area of as many of the thing."""
    filled = np.concatenate([answer.detections.boxes[~answer.seen] for answer in answers])
    return float(np.prod(filled[:, 2:] - filled[:, :2], axis=1).mean()) / scene.side**2


LOST = {"a hole": set(range(30, 40)), "the end": set(range(30, FRAMES)), "the beginning": set(range(40))}


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("name", SCENES)
def test_covers_what_was_missed_for_ten_frames(name: str, lost: str, noise: float) -> None:
    scene = SCENES[name]
    answers = scene.tracked(LOST[lost], noise=noise)
    assert exposed(scene, answers, set(range(30, 40))) == []


@pytest.mark.parametrize("name", ["shaken", "a small one, shaken", "walking, shaken", "a large one, shaken"])
def test_covers_much_less_than_boxes_alone_must(name: str) -> None:
    scene = SCENES[name]
    by_pixels, by_boxes = (spread(scene, scene.tracked(LOST["the end"], noise=0.03, pixels=on)) for on in (True, False))
    assert by_pixels < 4
    assert by_pixels < by_boxes / 2


@pytest.mark.parametrize("every", [2, 3, 5])
def test_covers_where_nobody_looked(every: int) -> None:
    scene = SCENES["walking, shaken"]
    lost = set(range(30, 40))
    unseen = {n for n in range(10, 60) if n % every or n in lost}
    assert exposed(scene, scene.tracked(lost, every, noise=0.03), unseen) == []


@pytest.mark.parametrize("lost", [set(range(33, 43)), set(range(33, FRAMES))])
def test_covers_what_passes_behind_a_post(lost: set[int]) -> None:
    """It is found until it is hidden, and not again before it is whole; what is in sight of it may not be seen."""
    way = MIDDLE + (TIMES - 35) * [5.0, 0.0]
    scene = Scene(way, shake(2.0), before=post(172.0, 34.0))
    answers = scene.tracked(lost)
    assert exposed(scene, answers, set(range(33, 43))) == []


def test_says_where_the_pixels_went() -> None:
    scene = SCENES["walking, shaken"]
    boxes = scene.boxes()
    for to in (range(21, 32), range(19, 8, -1)):
        way = follow(scene.frames.__getitem__, boxes[20], 20, to)
        assert way.followed == len(to)
        assert np.abs(way.boxes - boxes[list(to)]).max() < 0.06 * scene.side
        assert way.alike.min() > 0.8


def test_ten_bits_and_turned_views_go_the_same_way() -> None:
    scene = SCENES["walking, shaken"]
    boxes = scene.boxes()
    deep = [frame.astype(np.uint16) * 4 + 3 for frame in scene.frames]
    one = follow(scene.frames.__getitem__, boxes[20], 20, range(21, 32))
    other = follow(deep.__getitem__, boxes[20], 20, range(21, 32))
    np.testing.assert_array_equal(one.boxes, other.boxes)
    turned = [np.rot90(np.ascontiguousarray(np.rot90(frame, 3))) for frame in scene.frames]
    np.testing.assert_array_equal(one.boxes, follow(turned.__getitem__, boxes[20], 20, range(21, 32)).boxes)


def test_frames_that_there_are_not_are_passed_over() -> None:
    scene = SCENES["shaken"]
    there = {n: frame for n, frame in enumerate(scene.frames) if n not in (22, 23)}
    way = follow(there.get, scene.boxes()[20], 20, range(21, 26))
    assert way.followed == 5
    assert np.abs(way.boxes[-1] - scene.boxes()[25]).max() < 0.1 * scene.side
    assert follow(there.get, scene.boxes()[22], 22, range(23, 26)).followed == 0


def test_says_when_nothing_can_be_followed() -> None:
    grey = np.full(SIZE[::-1], 128, np.uint8)
    way = follow(lambda _: grey, np.array([100.0, 100, 130, 130]), 5, range(6, 9))
    assert way.followed == 0
    np.testing.assert_array_equal(way.boxes, np.tile([100.0, 100, 130, 130], (3, 1)))
    outside = follow(SCENES["still"].frames.__getitem__, np.array([400.0, 100, 430, 130]), 5, range(6, 9))
    assert outside.followed == 0


def test_sees_less_of_it_behind_a_post() -> None:
    scene = Scene(MIDDLE + (TIMES - 35) * [5.0, 0.0], STILL, before=post(172.0, 34.0))
    way = follow(scene.frames.__getitem__, scene.boxes()[30], 30, range(31, 41))
    assert way.alike[-1] < 0.5


def test_tells_two_things_apart_only_where_one_is_in_sight() -> None:
    scene = SCENES["shaken"]
    boxes, luma = scene.boxes(), scene.frames.__getitem__
    assert not elsewhere(luma, boxes[20], 20, boxes[28], 28)
    assert elsewhere(luma, boxes[20], 20, boxes[28] + 30, 28)
    hidden = Scene(MIDDLE + (TIMES - 35) * [5.0, 0.0], STILL, before=post(172.0, 34.0))
    assert not elsewhere(hidden.frames.__getitem__, hidden.boxes()[30], 30, hidden.boxes()[39] + 30, 39)


def test_tells_what_is_one_thing_only_where_it_is_in_sight() -> None:
    scene = SCENES["shaken"]
    boxes, luma = scene.boxes(), scene.frames.__getitem__
    assert there(luma, boxes[20], 20, boxes[28] + 3, 28)
    assert not there(luma, boxes[20], 20, boxes[28] + 20, 28)
    hidden = Scene(MIDDLE + (TIMES - 35) * [5.0, 0.0], STILL, before=post(172.0, 34.0))
    assert not there(hidden.frames.__getitem__, hidden.boxes()[30], 30, hidden.boxes()[39], 39)


def trembling(told: list[Frame]) -> dict[int, np.ndarray]:
    """Pictures for frames in which nothing is where detections say: following goes wrong in all ways."""
    random = np.random.default_rng(5)
    wall = texture(random, 900, 600)
    places = random.integers(0, 12, (len(told), 2))
    return {f.ordinal: wall[y : y + 360, x : x + 640] for f, (x, y) in zip(told, places.tolist(), strict=True)}


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_piece_with_its_margins_gives_what_the_whole_gives(seed: int, every: int) -> None:
    radius = Tracker(THRESHOLDS, PICTURE, every).radius
    first, stop = radius + 15 * every, radius + 15 * every + 12
    told = Street(seed, stop + radius + 40, every).told()
    pictures = trembling(told)

    def through(frames: list[Frame]) -> dict[int, Tracked]:
        waiting: dict[int, np.ndarray] = {}
        tracker = Tracker(THRESHOLDS, PICTURE, every, waiting.get)
        answers = []
        for frame in frames:
            waiting[frame.ordinal] = pictures[frame.ordinal]
            for answer in tracker.push(frame.ordinal, frame.found, frame.cut):
                del waiting[answer.ordinal]
                answers.append(answer)
        return {each.ordinal: each for each in answers + tracker.flush()}

    whole = through(told)
    piece = through([each for each in told if first - radius <= each.ordinal < stop + radius])
    for ordinal in range(first, stop):
        assert (ordinal in whole) == (ordinal in piece)
        if ordinal in whole:
            same(whole[ordinal], piece[ordinal])
