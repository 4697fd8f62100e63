"""Drawings on frames: what is drawn on pictures, at the same pixels, and no other sample changes."""

import numpy as np
import pytest

from support import yuvframes
from support.yuvframes import TURNS
from velum_pipeline import debug, regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.picture import Layout, Picture
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.video import planes
from velum_pipeline.video.colour import Coding
from velum_pipeline.video.description import FORMATS, Colour, Turn
from velum_pipeline.video.drawing import draw_debug
from velum_pipeline.video.reader import Decoded

BOXES = np.array([[20, 20, 60, 70], [70, 30, 115, 60]], np.float32)
FOUND = Detections(BOXES, np.array([0.9, 0.5], np.float32), as_classes([ObjectClass.FACE, ObjectClass.VEHICLE]))
OPTIONS = Options(Method.BLUR, {name: ClassOptions.default(name) for name in ObjectClass})


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("scores", [False, True])
def test_strokes_are_those_on_pictures_and_nothing_else_changes(name: str, turn: Turn, scores: bool) -> None:
    video = yuvframes.video(128, 96, name, turn=turn)
    areas = regions.build(FOUND, OPTIONS, video.displayed_width, video.displayed_height)
    frame = yuvframes.noisy(video)
    before = yuvframes.cropped(frame, video)
    plain = Picture(PNG, planes.upright(frame, video), Layout.BGR)
    shown = plain.native.copy()
    debug.draw(plain, FOUND, areas, scores=scores)
    touched = yuvframes.kept((plain.native != shown).any(axis=2).astype(np.uint8), turn)
    draw_debug(Decoded(0, frame), video, FOUND, areas, scores=scores)
    after = yuvframes.cropped(frame, video)
    assert touched.sum() > 300
    for plane, was, own in zip(after, before, [touched, *[yuvframes.chroma(touched, video)] * 2], strict=False):
        assert np.array_equal(plane[own == 0], was[own == 0])
        assert (plane[own > 0] != was[own > 0]).mean() > 0.9
    colours = np.array(list(debug.COLOURS.values()), np.float32)
    coding = Coding.of(video)
    codes = np.rint(coding.codes(colours @ [[0.114], [0.587], [0.299]] if coding.grey else colours))
    assert set(np.unique(after[0][touched > 0])) <= set(codes[:, 0].astype(int).tolist())


def test_what_is_drawn_does_not_depend_on_what_is_below() -> None:
    video = yuvframes.video(128, 96, "yuv444p10le", colour=Colour(2, 9, 16, 9))
    areas = regions.build(FOUND, OPTIONS, 128, 96)
    one, other = yuvframes.noisy(video, 1), yuvframes.noisy(video, 2)
    before = yuvframes.cropped(one, video)
    for frame in (one, other):
        draw_debug(Decoded(0, frame), video, FOUND, areas, [11, 7], scores=True)
    first, second = yuvframes.cropped(one, video), yuvframes.cropped(other, video)
    changed = np.any([now != was for now, was in zip(first, before, strict=True)], axis=0)
    assert all(np.array_equal(now[changed], then[changed]) for now, then in zip(first, second, strict=True))


def test_tracks_have_their_numbers() -> None:
    video = yuvframes.video(128, 96)
    areas = regions.build(FOUND, OPTIONS, 128, 96)
    drawn = []
    for tracks in ((), (1, 2), (8, 2)):
        frame = yuvframes.blank(video)
        for plane in planes.samples(frame, video):
            plane[:] = 40
        draw_debug(Decoded(0, frame), video, FOUND, areas, tracks, scores=False)
        drawn.append(yuvframes.cropped(frame, video)[0])
    none, one, other = drawn
    assert not np.array_equal(one, none)
    assert not np.array_equal(one[:, :64], other[:, :64])
    assert np.array_equal(one[:, 68:], other[:, 68:])
