"""A false cut shows what a track hid, so what must not be one is tried harder than what should."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from velum_pipeline.tracks import CUT_MEMORY, Cuts

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 256, 144
SHARED = os.environ.get("VELUM_SHARED")
WITH_VIDEO = pytest.mark.skipif(not SHARED, reason="VELUM_SHARED names no folder with videos")


def small(picture: Picture) -> Picture:
    return cv2.resize(picture, (64, 36), interpolation=cv2.INTER_AREA).astype(np.uint8)


def cuts(pictures: Sequence[Picture]) -> list[int]:
    teller = Cuts()
    return [number for number, picture in enumerate(pictures) if teller.push(small(picture))]


def scene(seed: int, width: int = 4 * WIDTH) -> Picture:
    """A wide view of walls, windows and things of all sizes and greys."""
    random = np.random.default_rng(seed)
    view = np.full((HEIGHT, width), 128, np.uint8)
    for share in np.geomspace(0.8, 0.04, 260):
        w, h = (share * random.uniform(0.3, 1, 2) * (HEIGHT * 1.5, HEIGHT)).astype(int) + 2
        x, y = int(random.integers(-w, width)), int(random.integers(-h, HEIGHT))
        view[max(y, 0) : y + h, max(x, 0) : x + w] = random.integers(0, 256)
    return cv2.GaussianBlur(view, (3, 3), 0).astype(np.uint8)


def still(seed: int, count: int) -> list[Picture]:
    """The same view, each time with a camera's noise."""
    random, view = np.random.default_rng(seed), scene(seed)[:, :WIDTH]
    return [np.clip(view + random.normal(0, 3, view.shape), 0, 255).astype(np.uint8) for _ in range(count)]


def panned(view: Picture, step: float, blur: int = 1) -> list[Picture]:
    count = int((view.shape[1] - WIDTH) / step)
    smeared = cv2.blur(view, (blur, 1)).astype(np.uint8)
    return [np.ascontiguousarray(smeared[:, int(n * step) :][:, :WIDTH]) for n in range(count)]


def passing(view: Picture, front: Picture, step: float) -> list[Picture]:
    """Something comes in from the left until it fills the view, stays, and leaves."""
    shown = []
    for number in range(24):
        until, since = (int(np.clip((number - start) * step, 0, 1) * WIDTH) for start in (4, 14))
        picture = view[:, :WIDTH].copy()
        picture[:, since:until] = front[:, since:until]
        shown.append(picture)
    return shown


def brightened(gain: float, lift: float = 0) -> Callable[[list[Picture]], list[Picture]]:
    """Frames 5 and 6 of them brighter or darker."""
    return lambda pictures: [
        np.clip(p.astype(np.float64) * gain + lift, 0, 255).astype(np.uint8) if n in (5, 6) else p
        for n, p in enumerate(pictures)
    ]


def turned(view: Picture, degrees: float, zoom: float) -> list[Picture]:
    middle = (WIDTH * 2, HEIGHT / 2)
    shown = []
    for number in range(8):
        way = cv2.getRotationMatrix2D(middle, degrees * number, 1.5 * zoom**number)
        way[0, 2] -= middle[0] - WIDTH / 2
        shown.append(cv2.warpAffine(view, way, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT).astype(np.uint8))
    return shown


NO_CUTS = {
    "still": still(1, 12),
    "slow pan": panned(scene(2), 8),
    "fast pan": panned(scene(3), 50),
    "fast pan, blurred": panned(scene(4), 50, 50),
    "turned": turned(scene(5), 6, 1.0),
    "zoomed in": turned(scene(6), 0, 1.1),
    "zoomed out": turned(scene(6), 0, 1.1)[::-1],
    "a bus passes": passing(scene(7), scene(8), 0.2),
    "a plain wall passes": passing(scene(7), np.full((HEIGHT, WIDTH), 90, np.uint8), 0.3),
    "flash": brightened(1, 120)(still(9, 12)),
    "burnt-out flash": brightened(0, 255)(still(9, 12)),
    "lamp goes out": brightened(0.25)(still(10, 12)),
    "exposure jumps": [*still(11, 5), *brightened(2)(still(11, 7))[5:7] * 3],
    "black": [np.zeros((HEIGHT, WIDTH), np.uint8)] * 5,
    "into black and back": [*still(12, 4), *[np.zeros((HEIGHT, WIDTH), np.uint8)] * 2, *still(12, 4)],
}


@pytest.mark.parametrize("name", NO_CUTS)
def test_no_cut(name: str) -> None:
    assert cuts(NO_CUTS[name]) == []


def test_a_cut_between_scenes_is_found_once() -> None:
    found = [cuts([*still(seed, 5), *still(seed + 100, 5)]) for seed in range(20)]
    assert all(each in ([], [5]) for each in found)
    assert found.count([5]) >= 10


def test_a_scene_after_black_begins_with_its_first_frame() -> None:
    black = [np.zeros((HEIGHT, WIDTH), np.uint8)]
    assert cuts([*still(20, 4), *black, *still(121, 4)]) == [5]


def test_coming_back_from_a_frame_of_another_scene_is_no_cut() -> None:
    """What was hidden before it is hidden after it."""
    first, other = still(20, 8), still(121, 1)
    assert cuts([*first[:4], *other, *first[4:]]) == [4]


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=14))
def test_only_the_last_frames_matter(scenes: list[int]) -> None:
    pictures = [scene(30 + number)[:, :WIDTH] for number in scenes]
    last = len(pictures) - 1
    assert (last in cuts(pictures)) == (CUT_MEMORY in cuts(pictures[-CUT_MEMORY - 1 :]))


def filmed(name: str) -> list[Picture]:
    video = cv2.VideoCapture(str(Path(SHARED or "") / "data" / "video" / name))
    shown = []
    while (frame := video.read())[0]:
        shown.append(cv2.cvtColor(frame[1], cv2.COLOR_BGR2GRAY).astype(np.uint8))
    assert shown
    return shown


@WITH_VIDEO
def test_a_street_has_no_cut_and_one_where_another_clip_is_joined() -> None:
    street, other = filmed("london_street_720p.mp4"), filmed("egoblur_gen2_lp.mp4")
    assert cuts(street) == []
    assert cuts(street[::5]) == []
    assert cuts([*street[:40], *other]) == [40]
    assert cuts([*other, *street[:40]]) == [len(other)]
