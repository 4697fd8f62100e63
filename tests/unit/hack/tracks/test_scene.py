"""Crops, paths and scenes: the truth about a made clip is where its objects really are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.sets import LabelledObject, LabelledSet
from evaluation.tracks import clips, paths, scene
from evaluation.tracks.crops import box_size, crop, find_crops
from evaluation.tracks.scene import Actor, Scene
from velum_pipeline.options import ObjectClass

FACE, PERSON = ObjectClass.FACE, ObjectClass.PERSON
STILL = (0.0, 0.0, 50.0, 0.0)


def standing(x: float, y: float, size: float, frames: int = 10) -> paths.Path:
    return paths.Path(0, frames, (x, y, 0.0, 0.0), STILL, (size, size))


def test_only_objects_that_are_large_enough_and_whole_are_cut_out(faces: LabelledSet) -> None:
    crops = find_crops([faces], FACE)
    assert [each.name for each in crops] == ["drawn/a.png#0", "drawn/b.png#0"]
    assert find_crops([faces], PERSON) == []
    edge = LabelledObject(FACE, (0.0, 10.0, 60.0, 70.0), ignore=False)
    at_edge = replace(faces.pictures[0], objects=(edge,))
    assert find_crops([replace(faces, pictures=(at_edge,))], FACE) == []


def test_a_crop_has_the_object_where_its_box_says(faces: LabelledSet) -> None:
    picture = faces.pixels(faces.pictures[0])
    one = find_crops([faces], FACE)[0]
    x1, y1, x2, y2 = (round(each) for each in one.box)
    assert np.array_equal(one.pixels[y1:y2, x1:x2], picture[30:90, 36:84])
    assert one.size == box_size((36, 30, 84, 90))
    assert one.truth.sum() == pytest.approx(np.pi * 24 * 30, rel=0.01)  # the ellipse in the box
    assert one.alpha[one.truth].min() > 0.9
    assert one.alpha[0].max() < 0.1


def test_an_outline_is_the_truth_where_there_is_one() -> None:
    square = np.array([[20.0, 20.0], [60.0, 20.0], [60.0, 100.0], [20.0, 100.0]])
    item = LabelledObject(PERSON, (10.0, 10.0, 70.0, 110.0), ignore=False, polygons=(square,))
    one = crop(np.zeros((120, 120, 3), np.uint8), item, "one")
    assert one.truth.sum() == 40 * 80
    assert one.alpha[one.truth].min() > 0.5
    assert one.alpha[0, 0] == 0


@given(st.integers(0, 2**32), st.sampled_from(list(paths.Motion)), st.floats(10, 90), st.floats(0, 1))
def test_paths_are_smooth_and_go_on_for_half_a_clip(seed: int, motion: paths.Motion, size: float, lane: float) -> None:
    path = paths.draw(np.random.default_rng(seed), motion, size, 60, (1280, 720), lane)
    assert 0 <= path.start < path.stop <= 60
    assert path.stop - path.start >= 30
    steps = np.diff([path.at(number) for number in range(path.start, path.stop)], axis=0)
    # the quickest line, and the widest swing on top
    assert np.abs(steps[:, :2]).max() < paths.SPEED[1] + 0.05 * 720 * 2 * np.pi / 50
    assert np.abs(np.diff(steps[:, :2], axis=0)).max(initial=0) < 0.6  # nothing jerks
    sizes = [path.at(number)[2] for number in range(path.start, path.stop)]
    assert size / 1.7 < min(sizes) <= max(sizes) < size * 1.7


def test_a_scene_follows_from_its_seed(faces: LabelledSet) -> None:
    crops = {FACE: find_crops([faces], FACE)}
    one, same, other = (scene.make(crops, (320, 240), 30, 6, seed) for seed in (1, 1, 2))
    paths_of = [[actor.path for actor in each.actors] for each in (one, same, other)]
    assert paths_of[0] == paths_of[1] != paths_of[2]
    assert {actor.crop.object_class for actor in one.actors} == {FACE}
    assert len(one.actors) == 6
    assert scene.make({FACE: []}, (320, 240), 30, 6, 1).actors == ()


def test_the_truth_is_where_the_picture_changed(faces: LabelledSet) -> None:
    one = find_crops([faces], FACE)[1]
    played = Scene((Actor(one, standing(100, 80, 40)),), (200, 160), 10)
    background = np.full((160, 200, 3), 255, np.uint8)
    composed = played.compose(4, background)
    (seen,) = played.truth(4)
    assert background.min() == 255  # left as it is
    assert seen.share == pytest.approx(1, abs=0.02)
    scale = 40 / one.size
    assert seen.box == pytest.approx((100 - 24 * scale, 80 - 30 * scale, 100 + 24 * scale, 80 + 30 * scale))
    rows, columns = np.nonzero(seen.pixels)
    assert (composed[rows + seen.y, columns + seen.x].max(axis=1) < 220).mean() > 0.98
    assert (seen.y + rows.min(), seen.y + rows.max() + 1) == pytest.approx((seen.box[1], seen.box[3]), abs=1.5)
    assert (seen.x + columns.min(), seen.x + columns.max() + 1) == pytest.approx((seen.box[0], seen.box[2]), abs=1.5)
    assert (composed[:20] == 255).all()


def test_what_stands_behind_or_leaves_is_seen_less(faces: LabelledSet) -> None:
    one = find_crops([faces], FACE)[0]
    front, behind, out = standing(100, 80, 40), standing(100, 80, 40), standing(0, 80, 40)
    played = Scene((Actor(one, behind), Actor(one, front), Actor(one, out)), (200, 160), 10)
    shares = {each.track: each.share for each in played.truth(0)}
    assert shares.keys() == {1, 2}  # nothing of 0 can be seen
    assert shares[1] == pytest.approx(1, abs=0.02)
    assert shares[2] == pytest.approx(0.5, abs=0.05)
    gone = replace(front, start=5)
    assert Scene((Actor(one, gone),), (200, 160), 10).truth(4) == []


def test_motion_blurs_along_the_path(faces: LabelledSet) -> None:
    one = find_crops([faces], FACE)[1]
    background = np.full((160, 200, 3), 255, np.uint8)

    def edge(dx: float, dy: float) -> float:
        path = replace(standing(100, 80, 40), line=(100.0, 80.0, dx, dy))
        row = Scene((Actor(one, path),), (200, 160), 10).compose(0, background)[80].astype(int)
        return float(np.abs(np.diff(row[:, 0])).max())

    assert edge(12, 0) < 0.8 * edge(0, 0)


def test_a_made_clip_shows_its_objects(clip: Path, played: Scene, background: Path) -> None:
    size, count, _ = clips.described(clip)
    assert (size, count) == (played.size, played.frames)
    tried = 0
    for number, (bare, shown) in enumerate(zip(clips.frames(background), clips.frames(clip), strict=True)):
        changed = np.abs(bare.astype(int) - shown).max(axis=2) > 12
        for each in played.truth(number):
            area = changed[each.y : each.y + each.pixels.shape[0], each.x : each.x + each.pixels.shape[1]]
            tried += each.share > 0.9
            assert each.share <= 0.9 or area[each.pixels].mean() > 0.6
    assert tried > 80
