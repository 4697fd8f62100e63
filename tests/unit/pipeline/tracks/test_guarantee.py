"""No frame shows an object that was missed in ten frames in a row or fewer, within the bounds `tracker` states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unit.pipeline.tracks.ways import Floats, Ways, curve, holes, laid, picture
from velum_pipeline.tracks.fill import ACCELERATION, BEND, SHAKE
from velum_pipeline.tracks.motion import NOISE
from velum_pipeline.tracks.nodes import scales
from velum_pipeline.tracks.windows import LONGEST_HOLE

EVERY = pytest.mark.parametrize("every", [1, 2, 3, 5])
SEEDS = st.integers(0, 2**32)
COUNT, FRAMES = 40, 100
SHAPES = np.array([[1.0, 1.3], [1.0, 1.0], [2.2, 0.47], [0.6, 1.7]])
"""Of scale 1: a face, a face upright, a plate, a person."""
FASTEST = 0.5
OPEN = 0.05
"""Share of an object that may show while it crosses another one. Of some 140,000 that did, with looks at every third or
fifth frame, two showed 3 % in one frame."""
STOLEN = [(3, 87), (3, 205), (3, 844), (5, 184), (5, 334), (5, 366), (5, 795), (5, 827), (5, 936), (5, 6818)]
"""Looks at every so many frames, and crossings in which one of a pair is found where the other one's track leads."""


def made_sides(random: np.random.Generator, count: int = COUNT) -> Floats:
    """Widths and heights (K, 2), from 8 to 400 pixels of scale."""
    return SHAPES[random.integers(0, len(SHAPES), count)] * np.exp(random.uniform(np.log(8), np.log(400), (count, 1)))


def scale_of(sides: Floats) -> Floats:
    """(K, 1)."""
    return scales(np.concatenate([np.zeros_like(sides), sides], axis=1))[:, None]


def directed(random: np.random.Generator, most: float, count: int = COUNT) -> Floats:
    """Vectors (K, 2) of a length up to ``most``, a third of them of just that."""
    angle = random.uniform(0, 2 * np.pi, count)
    length = most * np.minimum(random.uniform(0, 1.5, count), 1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None]


def off(random: np.random.Generator, sides: Floats, frames: int = FRAMES) -> Floats:
    """What a jittery detector is off by (T, K, 4)."""
    return random.uniform(-NOISE, NOISE, (frames, len(sides), 4)) * scale_of(sides)[None]


def between(random: np.random.Generator) -> NDArray[np.bool_]:
    """A hole of up to ten frames in the middle of every way (T, K), with three looks before it and three behind."""
    spans = [(first := int(random.integers(40, 50)), first + int(random.integers(1, 11))) for _ in range(COUNT)]
    return np.stack([holes(FRAMES, [span]) for span in spans], axis=1)


def ends(random: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Ways that begin and end within the frames, and their first and last ten frames or fewer dropped: (T, K) each."""
    there, dropped = np.zeros((FRAMES, COUNT), np.bool_), np.zeros((FRAMES, COUNT), np.bool_)
    for each in range(COUNT):
        first, last = int(random.integers(0, 12)), int(random.integers(88, FRAMES))
        there[first:last, each] = True
        cut = random.integers(0, LONGEST_HOLE + 1, 2)
        dropped[:, each] = holes(FRAMES, [(first, first + cut[0]), (last - cut[1], last)])
    return there, dropped


ALWAYS = np.ones((FRAMES, COUNT), np.bool_)
STILL = np.zeros((FRAMES, COUNT, 4))


def check(
    sides: Floats,
    way: Floats,
    there: NDArray[np.bool_],
    dropped: NDArray[np.bool_],
    every: int,
    noise: Floats = STILL,
) -> None:
    """way: (T, K, 2) centres in scales of the first frame. sides: (K, 2) or (T, K, 2) pixels."""
    full = np.broadcast_to(sides, way.shape)
    boxes = laid(way * scale_of(full[0]), full)
    assert not Ways(boxes, there, dropped).exposed(every, noise, picture(COUNT))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_a_hole_on_a_steady_way(every: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    way = curve(directed(random, FASTEST), np.zeros((COUNT, 2)), FRAMES, np.zeros(COUNT))
    check(sides, way, ALWAYS, between(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_a_hole_while_speeding_up_or_turning(every: int, seed: int) -> None:
    """Turning is acceleration across: the direction of both is independent."""
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    way = curve(directed(random, 0.2), directed(random, BEND / 2), FRAMES, np.full(COUNT, FRAMES / 2))
    check(sides, way, ALWAYS, between(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_a_hole_while_motion_changes_in_it(every: int, seed: int) -> None:
    """Acceleration of any sign from frame to frame, no more than BEND: a knock, a jolt, a stop and go."""
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    pushes = np.stack([directed(random, BEND) * random.choice([-1, 1]) for _ in range(FRAMES)])
    way = np.cumsum(directed(random, 0.3) + np.cumsum(pushes, axis=0), axis=0)
    check(sides, way, ALWAYS, between(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_first_and_last_frames_on_a_steady_way(every: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    way = curve(directed(random, FASTEST), np.zeros((COUNT, 2)), FRAMES, np.zeros(COUNT))
    check(sides, way, *ends(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_first_and_last_frames_while_speeding_up_or_turning(every: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    way = curve(directed(random, 0.15), directed(random, ACCELERATION), FRAMES, np.full(COUNT, FRAMES / 2))
    check(sides, way, *ends(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_things_that_stop_and_set_off(every: int, seed: int) -> None:
    """Still until a frame, then moving, or the other way round, with holes anywhere."""
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    turn = random.integers(20, 60, COUNT)
    times = np.arange(FRAMES)[:, None, None] - turn[None, :, None]
    gone = np.maximum(times, 0) if random.random() < 0.5 else np.minimum(times, 0)
    ramp = np.clip(gone, -20, 20) ** 2 / 2 * np.sign(gone) + np.sign(gone) * 20 * np.maximum(np.abs(gone) - 20, 0)
    way = directed(random, ACCELERATION) * ramp
    there, dropped = ends(random)
    check(sides, way, there, dropped | between(random), every, off(random, sides))


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_things_that_come_near_or_go_away(every: int, seed: int) -> None:
    """Sizes change by up to 2 % a frame, as a car's does at 15 m/s in 25 m distance."""
    random = np.random.default_rng(seed)
    first = made_sides(random)
    rate = random.uniform(-0.02, 0.02, COUNT)
    sides = first * np.exp(rate[None, :, None] * (np.arange(FRAMES)[:, None, None] - FRAMES / 2))
    way = np.cumsum(directed(random, 0.15) * (sides / sides[0]), axis=0)  # and steps change with them
    there, dropped = ends(random)
    noise = off(random, first) * (sides / first)[..., :1]
    check(sides, way, there, dropped | between(random), every, noise)


@EVERY
@settings(max_examples=3)
@given(SEEDS)
def test_a_pan_with_a_shaking_hand(every: int, seed: int) -> None:
    """All objects move with the picture, and tremble with it by SHAKE of their size."""
    random = np.random.default_rng(seed)
    sides = made_sides(random)
    way = np.broadcast_to(directed(random, 0.3, 1), (FRAMES, COUNT, 2)) * np.arange(FRAMES)[:, None, None]
    there, dropped = ends(random)
    way = way + random.uniform(-SHAKE, SHAKE, (FRAMES, 1, 2))
    check(sides, way, there, dropped | between(random), every)


@EVERY
@settings(max_examples=4)
@given(SEEDS)
def test_two_that_cross_and_are_missed_there(every: int, seed: int) -> None:
    """Pairs of about the same size meet in frame 50, with holes in one or both around it; who is who stays open.

    Here alone a little may show (`tracker` says how much): of the forty one object, and not more than OPEN of it.
    """
    exposed = in_sight(every, seed)
    assert len({which for _, which, _ in exposed}) <= 1, exposed
    assert all(share >= 1 - OPEN for _, _, share in exposed), exposed


@pytest.mark.parametrize(("every", "seed"), STOLEN)
def test_two_of_which_one_is_taken_for_the_other(every: int, seed: int) -> None:
    assert not in_sight(every, seed)


def in_sight(every: int, seed: int) -> list[tuple[int, int, float]]:
    """What shows of crossings, as `Ways.exposed` says it."""
    ways, noise = crossing(np.random.default_rng(seed))
    return [each for each in ways.exposed(every, noise, picture(COUNT)) if not stood_for(ways, every, *each[:2])]


def stood_for(ways: Ways, every: int, frame: int, which: int) -> bool:
    """Whether the other of the pair was found in that frame, and right there: its box hides both."""
    other = which ^ 1
    apart = np.abs(ways.boxes[frame, other] - ways.boxes[frame, which]).max()
    size = scales(ways.boxes[frame, [which]])[0]
    return bool(frame % every == 0 and not ways.dropped[frame, other] and apart < 0.5 * size)


def crossing(random: np.random.Generator) -> tuple[Ways, Floats]:
    sides = np.repeat(made_sides(random, COUNT // 2), 2, axis=0) * random.uniform(0.85, 1.15, (COUNT, 1))
    way = curve(directed(random, 0.3), np.zeros((COUNT, 2)), FRAMES, np.full(COUNT, FRAMES / 2))
    boxes = laid(way * scale_of(sides), sides)
    home = laid(np.zeros_like(way), sides)
    middles = (home[..., :2] + home[..., 2:]) / 2
    step = np.repeat(middles[:, ::2], 2, axis=1) - middles
    boxes = boxes + np.concatenate([step, step], axis=2)
    spans = [(first := int(random.integers(38, 52)), first + int(random.integers(1, 11))) for _ in range(COUNT)]
    dropped = np.stack([holes(FRAMES, [span]) for span in spans], axis=1)
    dropped[:, 1::2] &= random.random(COUNT // 2) < 0.5
    return Ways(boxes, ALWAYS, dropped), off(random, sides)


@EVERY
@settings(max_examples=5)
@given(SEEDS)
def test_things_that_come_in_and_leave_at_the_edge(every: int, seed: int) -> None:
    """The detector sees a thing once a fifth of it is in the picture, and as far as it is in it."""
    random = np.random.default_rng(seed)
    size, count = (1280, 720), 4
    sides = SHAPES[random.integers(0, len(SHAPES), count)] * random.uniform(20, 60, (count, 1))
    speeds = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) * random.uniform(0.1, 0.35, (count, 1)) * scale_of(sides)
    begin = np.array([[0, 120], [1280, 600], [420, 0], [860, 720]]) - 15 * speeds
    centres = begin + speeds * np.arange(FRAMES)[:, None, None]
    centres = np.where(random.random((count, 1)) < 0.5, centres, centres[::-1])  # one comes in, another leaves
    boxes = np.concatenate([centres - sides / 2, centres + sides / 2], axis=2)
    limits = np.array([*size, *size])
    shown = np.minimum(np.maximum(boxes, 0), limits)
    inside = np.prod(np.maximum(shown[..., 2:] - shown[..., :2], 0), axis=2)
    there = inside >= 0.2 * np.prod(sides, axis=1)
    dropped = np.zeros_like(there)
    for each in range(count):
        frames = np.flatnonzero(there[:, each])
        cut = int(random.integers(1, 11))
        dropped[frames[:cut] if random.random() < 0.5 else frames[-cut:], each] = True
    assert not Ways(shown, there, dropped).exposed(every, np.zeros_like(boxes), size)
