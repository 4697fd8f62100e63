"""The whole way from pictures to Detections, over networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from velum_pipeline.detect import ClassNotFound, Component, ComponentSpec, DetectionFailed, Detector, Runtime
from velum_pipeline.detect.component import Sighting
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

CPU = Runtime(threads=1)
FACE, PLATE = ObjectClass.FACE, ObjectClass.LICENSE_PLATE
Constant = Callable[[Mapping[str, NDArray[np.float32]]], bytes]
DYNAMIC = {"kind": "dynamic", "max_side": 4096, "colour": "bgr", "multiple": 4}
FACE_SIDE = 16
"""The bright network's faces."""


def options(*classes: ObjectClass, tiling: Tiling | None = None, threshold: float = 0.5) -> Options:
    return Options(
        Method.DETECT,
        {name: ClassOptions(threshold, 0.5 if name.relative_kernel else 61) for name in classes or (FACE,)},
        tiling=tiling or Tiling(),
    )


def component(model: bytes, **changes: object) -> Component:
    values = {
        "name": "bright",
        "file": "bright.onnx",
        "licence": "none",
        "decoder": "centerface",
        "input": DYNAMIC,
        "classes": {"face": {"threshold": 0.5}},
        "batch": True,
    }
    return Component.load(ComponentSpec.model_validate(values | changes), model, CPU)


@pytest.fixture(scope="session")
def bright(bright_model: bytes) -> Detector:
    return Detector([component(bright_model)])


def picture(width: int, height: int, *faces: tuple[int, int]) -> NDArray[np.uint8]:
    """Black, with a bright 4x4 cell for the face whose box begins at each (x, y), multiples of 4."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for x, y in faces:
        cell = [(x + 6) % width // 4 * 4, (y + 6) // 4 * 4]
        pixels[cell[1] : cell[1] + 4, cell[0] : cell[0] + 4] = 255
    return pixels


def boxes(detector: Detector, pixels: NDArray[np.uint8], wanted: Options) -> list[list[float]]:
    return sorted(detector.detect([pixels], wanted)[0].boxes.round(2).tolist())


def test_the_box_is_where_the_light_is(bright: Detector) -> None:
    assert boxes(bright, picture(128, 96, (40, 20)), options()) == [[38, 18, 54, 34]]


def test_no_objects_is_an_answer(bright: Detector) -> None:
    (found,) = bright.detect([picture(64, 64)], options())
    assert len(found) == 0
    assert bright.detect([], options()) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3)])
def test_tiny_pictures(bright: Detector, size: tuple[int, int]) -> None:
    assert boxes(bright, picture(*size), options()) == []


def test_boxes_are_clipped_to_the_picture(bright: Detector) -> None:
    assert boxes(bright, picture(64, 64, (-4, 56)), options()) == [[0, 54, 10, 64]]


def test_order_is_by_class_then_score(bright_model: bytes) -> None:
    pixels = picture(256, 64, (40, 20), (100, 20), (160, 20))
    pixels[:, 96:128] = pixels[:, 96:128] // 4 * 3
    (found,) = Detector([component(bright_model)]).detect([pixels], options(threshold=0.3))
    np.testing.assert_allclose(found.scores, [1, 1, 63 * 3 / 255], atol=5e-3)
    np.testing.assert_allclose(found.boxes[:, 0], [38, 158, 98])


def test_thresholds_are_in_contract_scores(bright_model: bytes) -> None:
    detector = Detector([component(bright_model, classes={"face": {"threshold": 0.2}})])
    pixels = picture(64, 64, (20, 20)) // 5 * 2  # native .4, odds 2/3, times 4: contract 8/11
    assert len(detector.detect([pixels], options(threshold=0.72))[0]) == 1
    assert len(detector.detect([pixels], options(threshold=0.73))[0]) == 0


def test_pictures_of_different_sizes_keep_their_order(bright: Detector) -> None:
    pictures = [picture(64, 64, (20, 20)), picture(128, 64), picture(64, 64, (32, 32)), picture(128, 64, (80, 8))]
    found = bright.detect(pictures, options())
    assert [one.boxes.round(2).tolist() for one in found] == [
        [[18, 18, 34, 34]],
        [],
        [[30, 30, 46, 46]],
        [[78, 6, 94, 22]],
    ]


class Counting:
    """A component that counts its runs and passes them on."""

    def __init__(self, inner: Component) -> None:
        self.inner, self.runs, self.spec, self.classes = inner, 0, inner.spec, inner.classes
        self.pack = inner.pack

    def detect(self, views: Sequence[object], thresholds: Mapping[ObjectClass, float]) -> object:
        self.runs += 1
        return self.inner.detect(views, thresholds)  # type: ignore[arg-type]


def plates(constant: Constant, *rows: list[float]) -> Component:
    model = constant({"output": np.array([rows], np.float32)})
    fixed = {"kind": "fixed", "width": 64, "height": 64, "fit": "stretch", "colour": "bgr"}
    return component(
        model,
        name="plates",
        decoder="yolov5face-plate",
        input=fixed,
        classes={"license-plate": {"threshold": 0.5}},
        batch=False,
    )


CORNERS = [24.0, 28.0, 40.0, 28.0, 40.0, 36.0, 24.0, 36.0]
PLATE_ROW = [32.0, 32.0, 16.0, 8.0, 1.0, *CORNERS, 0.9, 0.0]


def test_only_components_of_requested_classes_run(bright_model: bytes, constant: Constant) -> None:
    faces, others = Counting(component(bright_model)), Counting(plates(constant, PLATE_ROW))
    detector = Detector([faces, others])  # type: ignore[list-item]
    detector.detect([picture(64, 64)], options(FACE))
    assert (faces.runs, others.runs) == (1, 0)
    detector.detect([picture(64, 64)], options(PLATE))
    assert (faces.runs, others.runs) == (1, 1)


def test_plates_bring_their_corners_into_the_picture(constant: Constant, bright_model: bytes) -> None:
    detector = Detector([component(bright_model), plates(constant, PLATE_ROW)])
    (found,) = detector.detect([picture(128, 192, (4, 4))], options(PLATE, FACE))
    assert found.classes.tolist() == [FACE, PLATE]
    assert found.corners is not None
    assert np.isnan(found.corners[0]).all()
    np.testing.assert_allclose(found.corners[1], np.reshape(CORNERS, (4, 2)) * [2, 3])
    np.testing.assert_allclose(found.boxes[1], [48, 84, 80, 108])


def test_an_ensemble_tells_one_object_once(bright_model: bytes) -> None:
    twice = Detector([component(bright_model), component(bright_model, classes={"face": {"threshold": 0.1}})])
    (found,) = twice.detect([picture(128, 96, (40, 20), (80, 60))], options())
    assert len(found) == 2


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


def test_a_split_component_tells_one_object_once(bright_model: bytes) -> None:
    split = DYNAMIC | {"split": {"windows": 3, "above": 100, "overlap": 0.25, "whole": True}}
    pixels = picture(320, 64, *((x, 20) for x in range(0, 300, 40)))
    whole = boxes(Detector([component(bright_model)]), pixels, options())
    assert boxes(Detector([component(bright_model, input=split)]), pixels, options()) == whole


def test_a_class_that_nobody_finds(bright: Detector) -> None:
    with pytest.raises(ClassNotFound, match=r"license-plate.*velum models list") as caught:
        bright.detect([picture(64, 64)], options(FACE, PLATE))
    assert caught.value.missing == (PLATE,)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.uint16),
        np.zeros((0, 64, 3), np.uint8),
    ],
)
def test_what_is_no_picture(bright: Detector, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(DetectionFailed, match="picture 1"):
        bright.detect([picture(64, 64), pixels], options())


def test_bad_numbers_are_dropped_and_counted(constant: Constant) -> None:
    broken = [np.nan, *PLATE_ROW[1:]]
    detector = Detector([plates(constant, PLATE_ROW, broken)])
    (found,) = detector.detect([picture(64, 64)], options(PLATE))
    assert len(found) == 1
    assert detector.non_finite == 1


def test_a_network_of_nothing_but_nan_gives_no_answer(constant: Constant) -> None:
    with pytest.raises(DetectionFailed, match="no finite number"):
        Detector([plates(constant, [np.nan] * 15)]).detect([picture(64, 64)], options(PLATE))


places = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 5)).map(lambda p: (p[0] * 40 + 8, p[1] * 40 + 8)),
    max_size=10,
    unique=True,
)
tilings = st.builds(
    Tiling,
    mode=st.just("grid"),
    columns=st.integers(1, 4),
    rows=st.integers(1, 4),
    overlap_x=st.sampled_from([0, 16, 48, 120]),
    overlap_y=st.sampled_from([0, 16, 48, 120]),
)


@settings(max_examples=40, deadline=None)
@given(faces=places, tiling=tilings)
def test_tiles_find_each_object_once(bright: Detector, faces: list[tuple[int, int]], tiling: Tiling) -> None:
    """Wherever the borders fall, also through an object: one box each, and each box covers its object."""
    found = boxes(bright, picture(480, 240, *faces), options(tiling=tiling))
    assert len(found) == len(faces)
    for (x1, y1, x2, y2), (x, y) in zip(found, sorted((x - 2, y - 2) for x, y in faces), strict=True):
        assert x1 <= x + 0.1
        assert y1 <= y + 0.1
        assert x2 >= x + FACE_SIDE - 0.1
        assert y2 >= y + FACE_SIDE - 0.1


@settings(max_examples=60, deadline=None)
@given(column=st.integers(0, 109), row=st.integers(2, 50))
def test_a_panorama_has_no_seam(bright: Detector, column: int, row: int) -> None:
    """A face anywhere around the cylinder is found once: one box, or one at each edge if it lies on the seam."""
    width, half = 440, FACE_SIDE / 2
    pixels = np.zeros((220, width, 3), np.uint8)
    pixels[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 255
    left, right = column * 4 + 2 - half, column * 4 + 2 + half
    spans = [(left, right)]
    if left < 0:
        spans = [(0, right), (width + left, width)]
    elif right > width:
        spans = [(0, right - width), (left, width)]
    expected = [[x1, row * 4 + 2 - half, x2, row * 4 + 2 + half] for x1, x2 in spans]
    assert boxes(bright, pixels, options(tiling=Tiling("pano", pano_width=4096))) == expected


def test_threads_get_the_same_answer(bright: Detector) -> None:
    pictures = [picture(200, 120, (8 + 8 * i, 40)) for i in range(16)]
    alone = [boxes(bright, pixels, options()) for pixels in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pixels: boxes(bright, pixels, options()), pictures)) == alone


AUTO = Tiling("auto")


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


def test_a_score_does_not_change_with_the_threshold(bright_model: bytes) -> None:
    twice = Detector([component(bright_model), component(bright_model, classes={"face": {"threshold": 0.3}})])
    pixels = picture(128, 96, (40, 20)) // 5 * 3
    scores = [twice.detect([pixels], options(threshold=t))[0].scores for t in (0.2, 0.5, 0.7)]
    assert [len(one) for one in scores] == [1, 1, 1]
    assert scores[0] == scores[1] == scores[2]
