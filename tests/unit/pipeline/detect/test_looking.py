"""Which components look, at what, and inside what others found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from support.brightdetector import (
    CORNERS,
    DYNAMIC,
    FACE,
    PLATE,
    PLATE_ROW,
    Constant,
    boxes,
    component,
    options,
    picture,
    plates,
)
from velum_pipeline.detect import ClassNotFound, Component, Detector
from velum_pipeline.detect.component import Sighting
from velum_pipeline.options import ObjectClass, Tiling

AUTO = Tiling("auto")


class Counting:
    """A component that counts its runs and passes them on."""

    def __init__(self, inner: Component) -> None:
        self.inner, self.runs, self.spec, self.classes = inner, 0, inner.spec, inner.classes
        self.pack = inner.pack

    def detect(self, views: Sequence[object], thresholds: Mapping[ObjectClass, float]) -> object:
        self.runs += 1
        return self.inner.detect(views, thresholds)  # type: ignore[arg-type]


def test_only_components_of_requested_classes_run(bright_model: bytes, constant: Constant) -> None:
    faces, others = Counting(component(bright_model)), Counting(plates(constant, PLATE_ROW))
    detector = Detector([faces, others])  # type: ignore[list-item]
    detector.detect([picture(64, 64)], options(FACE))
    assert (faces.runs, others.runs) == (1, 0)
    detector.detect([picture(64, 64)], options(PLATE))
    assert (faces.runs, others.runs) == (1, 1)


def test_a_component_for_large_views_leaves_small_ones_alone(bright_model: bytes) -> None:
    detector = Detector([component(bright_model, input=DYNAMIC | {"above": 100})])
    found = detector.detect([picture(100, 64, (20, 20)), picture(104, 64, (20, 20))], options())
    assert [len(one) for one in found] == [0, 1]


@pytest.mark.parametrize(("largest", "found"), [(15, 0), (17, 1)])
def test_objects_too_large_for_a_look_are_left_to_others(bright_model: bytes, largest: int, found: int) -> None:
    """In pixels of the input, where every face has 16, and not of the picture, where this one has 32."""
    detector = Detector([component(bright_model, input=DYNAMIC | {"max_side": 64, "largest": largest})])
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[40:48, 40:48] = 255
    assert len(detector.detect([pixels], options())[0]) == found


def test_a_look_is_no_doubt_about_what_is_too_large_for_it(bright_model: bytes) -> None:
    """As many looks as there are, a large object is as certain in format auto as in one look at the whole."""
    small = DYNAMIC | {"max_side": 64}
    further = component(bright_model, name="further", thorough=True, input=small | {"largest": 15})
    detector = Detector([component(bright_model, input=small), further])
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[40:48, 40:48] = 160
    (whole,), (auto,) = (detector.detect([pixels], options(tiling=tiling)) for tiling in (Tiling(), AUTO))
    assert auto.scores.tolist() == whole.scores.tolist()


@pytest.mark.parametrize(("smallest", "found"), [(17, 0), (15, 1)])
def test_objects_too_small_for_a_look_are_left_to_others(bright_model: bytes, smallest: int, found: int) -> None:
    """In pixels of the input, as ``largest``."""
    detector = Detector([component(bright_model, input=DYNAMIC | {"max_side": 64, "smallest": smallest})])
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[40:48, 40:48] = 255
    assert len(detector.detect([pixels], options())[0]) == found


@pytest.mark.parametrize(("smallest", "doubted"), [(17, False), (1, True)])
def test_a_look_at_a_small_copy_is_no_doubt_about_what_is_too_small_for_it(
    bright_model: bytes, smallest: int, doubted: bool
) -> None:
    """The face has 16 pixels of the picture, 4 of the copy's, in which its light is too little to be seen."""
    copy = component(bright_model, name="copy", input=DYNAMIC | {"max_side": 64, "smallest": smallest})
    pixels = picture(256, 256, (40, 40)) // 5 * 3
    (one,) = Detector([component(bright_model)]).detect([pixels], options())
    (both,) = Detector([component(bright_model), copy]).detect([pixels], options())
    assert len(one) == 1
    assert both.scores.tolist() == ([] if doubted else one.scores.tolist())


def test_thorough_looks_are_for_auto_and_panoramas(bright_model: bytes) -> None:
    plain, further = Counting(component(bright_model)), Counting(component(bright_model, thorough=True))
    detector = Detector([plain, further])  # type: ignore[list-item]
    for tiling in (Tiling(), Tiling("grid", columns=2, rows=2)):
        detector.detect([picture(128, 64)], options(tiling=tiling))
    assert (plain.runs, further.runs) == (2, 0)
    for tiling in (AUTO, Tiling("pano", pano_width=4096)):
        detector.detect([picture(128, 64)], options(tiling=tiling))
    assert (plain.runs, further.runs) == (4, 2)


def test_a_class_of_thorough_looks_alone_is_not_found(bright_model: bytes) -> None:
    """In format whole it would be silently absent."""
    detector = Detector([component(bright_model, thorough=True)])
    with pytest.raises(ClassNotFound):
        detector.detect([picture(64, 64)], options())


VEHICLE = (600.0, 400.0, 64.0, 48.0)
"""Centre and size of the host, pixels of a 1280 x 720 picture."""


def host(constant: Constant, cx: float, cy: float, width: float, height: float) -> Component:
    """Sees a vehicle there, always; the picture is stretched to 64 x 64."""
    scale = np.array([64 / 1280, 64 / 720, 64 / 1280, 64 / 720])
    row = [*(np.array([cx, cy, width, height]) * scale), 1.0, *CORNERS, 0.9, 0.0]
    inner = plates(constant, row)
    return Disguised(inner, ObjectClass.VEHICLE)  # type: ignore[return-value]


class Disguised:
    """A plate component whose plates are told as another class: no decoder of one box knows vehicles."""

    def __init__(self, inner: Component, told: ObjectClass) -> None:
        self.inner, self.told, self.runs = inner, told, 0
        self.spec, self.classes, self.pack = inner.spec, frozenset({told}), inner.pack

    def detect(self, views: Sequence[object], thresholds: Mapping[ObjectClass, float]) -> list[Sighting]:
        self.runs += 1
        seen = self.inner.detect(views, {PLATE: thresholds[self.told]})  # type: ignore[arg-type]
        return [Sighting({self.told: one.found[PLATE]}, one.non_finite) for one in seen]


def looking_inside(bright_model: bytes) -> Component:
    """Sees a bright cell of 4 x 4 input pixels, that is one whole pixel enlarged four times."""
    fixed = {"kind": "fixed", "width": 320, "height": 320, "fit": "letterbox", "colour": "bgr", "resized": True}
    return component(bright_model, name="inside", input=fixed, inside="vehicle")


def coarse(bright_model: bytes) -> Component:
    """Sees the whole picture reduced to a twentieth: nothing of what is small."""
    return component(bright_model, input=DYNAMIC | {"max_side": 64})


@pytest.fixture
def small_face() -> NDArray[np.uint8]:
    """In a 1280 x 720 picture, a face of which one pixel is bright, inside the host's box."""
    pixels = np.zeros((720, 1280, 3), np.uint8)
    pixels[400, 600] = 255
    return pixels


def test_what_is_small_is_found_inside_its_host(
    bright_model: bytes, constant: Constant, small_face: NDArray[np.uint8]
) -> None:
    vehicle = host(constant, *VEHICLE)
    plain = Detector([coarse(bright_model), vehicle])
    hinted = Detector([coarse(bright_model), vehicle, looking_inside(bright_model)])
    wanted = options(threshold=0.3, tiling=AUTO)
    assert boxes(plain, small_face, wanted) == []
    ((x1, y1, x2, y2),) = boxes(hinted, small_face, wanted)
    assert x1 < 600 < x2
    assert y1 < 400 < y2
    assert boxes(hinted, small_face, options(threshold=0.3)) == []  # whole is one plain look


def test_hosts_that_nobody_asked_for_stay_out_of_the_answer(
    bright_model: bytes, constant: Constant, small_face: NDArray[np.uint8]
) -> None:
    detector = Detector([coarse(bright_model), host(constant, *VEHICLE), looking_inside(bright_model)])
    (found,) = detector.detect([small_face], options(FACE, threshold=0.3, tiling=AUTO))
    assert found.classes.tolist() == [FACE]
    (found,) = detector.detect([small_face], options(FACE, ObjectClass.VEHICLE, threshold=0.3, tiling=AUTO))
    assert found.classes.tolist() == [FACE, ObjectClass.VEHICLE]


def test_helpers_run_only_where_they_help(bright_model: bytes, constant: Constant) -> None:
    vehicle = host(constant, *VEHICLE)
    detector = Detector([coarse(bright_model), vehicle, looking_inside(bright_model)])
    detector.detect([np.zeros((720, 1280, 3), np.uint8)], options())
    assert vehicle.runs == 0  # type: ignore[attr-defined]
    detector.detect([np.zeros((720, 1280, 3), np.uint8)], options(tiling=AUTO))
    assert vehicle.runs == 1  # type: ignore[attr-defined]


def test_a_look_inside_what_no_pack_finds_is_left_out(bright_model: bytes, small_face: NDArray[np.uint8]) -> None:
    detector = Detector([coarse(bright_model), looking_inside(bright_model)])
    assert boxes(detector, small_face, options(threshold=0.3, tiling=AUTO)) == []


def test_hints_of_several_pictures_keep_their_pictures(
    bright_model: bytes, constant: Constant, small_face: NDArray[np.uint8]
) -> None:
    detector = Detector([coarse(bright_model), host(constant, *VEHICLE), looking_inside(bright_model)])
    dark = np.zeros_like(small_face)
    found = detector.detect([dark, small_face, dark], options(threshold=0.3, tiling=AUTO))
    assert [len(one) for one in found] == [0, 1, 0]
