"""Every decoder against outputs whose boxes were worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import MAX_CANDIDATES
from velum_pipeline.detect.decoders import DECODERS, Decoded
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.options import ObjectClass

FACE, PLATE, PERSON, VEHICLE = ObjectClass
Arrays = dict[str, NDArray[np.float32]]


def decode(name: str, outputs: Arrays, size: tuple[int, int], **floors: float) -> list[Decoded]:
    wanted = {ObjectClass(key.replace("_", "-")): value for key, value in floors.items()}
    return DECODERS[name].decode(outputs, size, wanted)


def centerface(batch: int = 1) -> Arrays:
    return {
        "537": np.zeros((batch, 1, 16, 24), np.float32),
        "538": np.zeros((batch, 2, 16, 24), np.float32),
        "539": np.zeros((batch, 2, 16, 24), np.float32),
        "540": np.zeros((batch, 10, 16, 24), np.float32),
    }


def test_centerface_box() -> None:
    outputs = centerface(batch=2)
    outputs["537"][1, 0, 5, 7] = 0.8
    outputs["538"][1, :, 5, 7] = np.log([6, 3])  # height, width in cells
    outputs["539"][1, :, 5, 7] = [0.25, -0.5]  # y, x
    first, second = decode("centerface", outputs, (64, 96), face=0.5)
    assert len(first.found[FACE]) == 0
    cx, cy = (7 - 0.5 + 0.5) * 4, (5 + 0.25 + 0.5) * 4
    np.testing.assert_allclose(second.found[FACE].boxes, [[cx - 6, cy - 12, cx + 6, cy + 12]], rtol=1e-5)
    np.testing.assert_allclose(second.found[FACE].scores, [0.8])


def yunet(height: int = 64, width: int = 96) -> Arrays:
    outputs = {}
    for stride in (8, 16, 32):
        count = height // stride * (width // stride)
        for part, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{part}_{stride}"] = np.zeros((1, count, channels), np.float32)
    return outputs


def test_yunet_box() -> None:
    outputs = yunet()
    cell = 2 * (96 // 16) + 3  # row 2, column 3 at stride 16
    outputs["cls_16"][0, cell], outputs["obj_16"][0, cell] = 0.81, 0.25
    outputs["bbox_16"][0, cell] = [0.5, -0.25, np.log(2), np.log(3)]
    (decoded,) = decode("yunet", outputs, (64, 96), face=0.4)
    cx, cy = (3 + 0.5) * 16, (2 - 0.25) * 16
    np.testing.assert_allclose(decoded.found[FACE].boxes, [[cx - 16, cy - 24, cx + 16, cy + 24]], rtol=1e-5)
    np.testing.assert_allclose(decoded.found[FACE].scores, [0.45])


def test_yunet_clips_scores_that_overshoot() -> None:
    outputs = yunet()
    outputs["cls_8"][0, 0], outputs["obj_8"][0, 0] = 1.2, 1.0
    (decoded,) = decode("yunet", outputs, (64, 96), face=0.4)
    np.testing.assert_array_equal(decoded.found[FACE].scores, [1.0])


def test_plate_box_and_corners() -> None:
    output = np.zeros((1, 4, 15), np.float32)
    corners = [10, 20, 50, 22, 49, 34, 9, 32]
    output[0, 2] = [30, 27, 42, 16, 0.8, *corners, 0.1, 0.9]
    (decoded,) = decode("yolov5face-plate", {"output": output}, (64, 64), license_plate=0.5)
    plates = decoded.found[PLATE]
    np.testing.assert_allclose(plates.boxes, [[9, 19, 51, 35]])
    np.testing.assert_allclose(plates.scores, [0.72], rtol=1e-6)
    np.testing.assert_allclose(plates.corners, np.reshape(corners, (1, 4, 2)))


def test_a_plate_with_broken_corners_keeps_its_box() -> None:
    output = np.zeros((1, 1, 15), np.float32)
    output[0, 0] = [30, 27, 42, 16, 1, 1, 2, 3, np.nan, 5, 6, 7, 8, 1, 1]
    (decoded,) = decode("yolov5face-plate", {"output": output}, (64, 64), license_plate=0.5)
    np.testing.assert_allclose(decoded.found[PLATE].boxes, [[9, 19, 51, 35]])
    assert np.isnan(decoded.found[PLATE].corners).all()


def picodet(height: int, width: int) -> Arrays:
    counts = [-(-height // s) * -(-width // s) for s in (8, 16, 32, 64)]
    classes = {f"classes{i}": np.zeros((1, count, 80), np.float32) for i, count in enumerate(counts)}
    return classes | {f"sides{i}": np.zeros((1, count, 32), np.float32) for i, count in enumerate(counts)}


def sides(*bins: int) -> NDArray[np.float32]:
    """Logits that put all weight of each side on one bin."""
    logits = np.full((4, 8), -100, np.float32)
    logits[range(4), bins] = 100
    return logits.ravel()


def test_picodet_boxes_of_two_classes() -> None:
    outputs = picodet(96, 160)  # 160 / 64 is no whole number: the coarsest map has ceil(2.5) columns
    outputs["classes3"][0, 4, 0] = 0.9  # stride 64: 2 rows x 3 columns; cell 4 is row 1, column 1; person
    outputs["sides3"][0, 4] = sides(1, 0, 2, 1)
    outputs["classes0"][0, 21, 7] = 0.6  # stride 8: 20 columns; cell 21 is row 1, column 1; truck
    outputs["sides0"][0, 21] = sides(1, 1, 7, 3)
    (decoded,) = decode("picodet", outputs, (96, 160), person=0.5, vehicle=0.5)
    np.testing.assert_allclose(decoded.found[PERSON].boxes, [[96 - 64, 96, 96 + 128, 96 + 64]])
    np.testing.assert_allclose(decoded.found[VEHICLE].boxes, [[12 - 8, 12 - 8, 12 + 56, 12 + 24]])
    np.testing.assert_allclose(decoded.found[VEHICLE].scores, [0.6])


def test_picodet_side_is_an_expectation() -> None:
    outputs = picodet(64, 64)
    outputs["classes0"][0, 0, 0] = 0.9
    (decoded,) = decode("picodet", outputs, (64, 64), person=0.5)  # even weights: 3.5 bins
    np.testing.assert_allclose(decoded.found[PERSON].boxes, [[4 - 28, 4 - 28, 4 + 28, 4 + 28]])


@pytest.mark.parametrize(
    ("coco", "vehicle"), [(1, False), (2, True), (3, True), (4, False), (5, True), (6, False), (7, True), (8, False)]
)
def test_which_coco_classes_are_vehicles(coco: int, vehicle: bool) -> None:
    outputs = picodet(64, 64)
    outputs["classes1"][0, 3, coco] = 0.9
    (decoded,) = decode("picodet", outputs, (64, 64), person=0.5, vehicle=0.5)
    assert len(decoded.found[VEHICLE]) == vehicle
    assert len(decoded.found[PERSON]) == 0


def test_picodet_tells_only_what_is_wanted() -> None:
    outputs = picodet(64, 64)
    outputs["classes1"][0, 3, [0, 2]] = 0.9
    (decoded,) = decode("picodet", outputs, (64, 64), vehicle=0.5)
    assert set(decoded.found) == {VEHICLE}


def test_non_finite_scores_are_dropped_and_counted() -> None:
    outputs = centerface()
    outputs["537"][0, 0, 0, :3] = [np.nan, np.inf, 0.9]
    (decoded,) = decode("centerface", outputs, (64, 96), face=0.5)
    np.testing.assert_allclose(decoded.found[FACE].scores, [0.9])
    assert decoded.non_finite == 2


@pytest.mark.parametrize("size", [np.nan, np.inf, 1e9])
def test_boxes_that_are_not_finite_are_dropped_and_counted(size: float) -> None:
    outputs = centerface()
    outputs["537"][0, 0, 4, 4] = outputs["537"][0, 0, 9, 9] = 0.9
    outputs["538"][0, :, 4, 4] = size  # exp overflows
    (decoded,) = decode("centerface", outputs, (64, 96), face=0.5)
    assert len(decoded.found[FACE]) == 1
    assert decoded.non_finite == 1


def test_the_best_candidates_survive_the_limit() -> None:
    rng = np.random.default_rng(1)
    outputs = {key: np.zeros((1, c, 80, 80), np.float32) for key, c in (("a", 1), ("b", 2), ("c", 2))}
    outputs["a"][:] = rng.random((1, 1, 80, 80), np.float32)
    (decoded,) = decode("centerface", outputs, (320, 320), face=0.0)
    best = np.sort(outputs["a"].ravel())[::-1][:MAX_CANDIDATES]
    np.testing.assert_array_equal(np.sort(decoded.found[FACE].scores)[::-1], best)


def street(height: int = 96, width: int = 160, batch: int = 1) -> Arrays:
    counts = [[-(-height // s) * -(-width // s) for s in strides] for strides in ((8, 16, 32, 64), (4, 8, 16, 32))]
    return {
        "objects": np.zeros((batch, sum(counts[0]), 6), np.float32),
        "parts": np.zeros((batch, sum(counts[1]), 14), np.float32),
    }


def street_scene() -> Arrays:
    """Two pictures; the second shows one object of each class, the vehicle in the last cell and the face in the first.

    96 / 64 and 160 / 64 are no whole numbers: the coarsest map has 2 x 3 cells.
    """
    outputs = street(batch=2)
    assert outputs["objects"].shape[1] == 240 + 60 + 15 + 6
    outputs["objects"][1, 300] = [0.9, 0.1, 10, 12, 40, 90]
    outputs["objects"][1, -1] = [0.2, 0.7, 50, 60, 150, 95]
    outputs["parts"][1, 0] = [0.8, 0, 20, 14, 28, 24, *range(8)]
    outputs["parts"][1, 33] = [0.1, 0.6, 80, 80, 110, 90, 80, 80, 109, 81, 110, 90, 81, 89]
    return outputs


def test_street_boxes_of_four_classes() -> None:
    first, second = decode("street", street_scene(), (96, 160), face=0.5, license_plate=0.5, person=0.5, vehicle=0.5)
    assert [len(first.found[name]) for name in ObjectClass] == [0, 0, 0, 0]
    boxes = {PERSON: [10, 12, 40, 90], VEHICLE: [50, 60, 150, 95], FACE: [20, 14, 28, 24], PLATE: [80, 80, 110, 90]}
    scores = {PERSON: 0.9, VEHICLE: 0.7, FACE: 0.8, PLATE: 0.6}
    for name in ObjectClass:
        np.testing.assert_allclose(second.found[name].boxes, [boxes[name]])
        np.testing.assert_allclose(second.found[name].scores, [scores[name]], rtol=1e-6)
    np.testing.assert_allclose(second.found[PLATE].corners, [[[80, 80], [109, 81], [110, 90], [81, 89]]])
    assert np.isnan(second.found[FACE].corners).all()
    assert first.non_finite == second.non_finite == 0


def test_street_tells_only_what_is_wanted() -> None:
    outputs = street_scene()
    outputs["objects"][:] = np.nan  # nobody asks, and what is not read cannot be missed
    _, second = decode("street", outputs, (96, 160), license_plate=0.5)
    assert set(second.found) == {PLATE}
    assert second.non_finite == 0


def test_street_drops_what_is_not_finite() -> None:
    outputs = street_scene()
    outputs["objects"][1, :2, 0] = [np.nan, np.inf]
    outputs["objects"][1, 2] = [0.9, 0, 1, 2, np.nan, 4]
    outputs["parts"][1, 33, 9] = np.nan  # a corner
    _, second = decode("street", outputs, (96, 160), person=0.5, license_plate=0.5)
    assert len(second.found[PERSON]) == 1
    assert second.non_finite == 3
    assert len(second.found[PLATE]) == 1
    assert np.isnan(second.found[PLATE].corners).all()


def test_street_reads_tensors_as_arrays() -> None:
    outputs = street_scene()
    tensors = {name: torch.from_numpy(array) for name, array in outputs.items()}
    wanted = dict.fromkeys(ObjectClass, 0.15)
    for one, other in zip(*(DECODERS["street"].decode(o, (96, 160), wanted) for o in (outputs, tensors)), strict=True):
        for name in ObjectClass:
            np.testing.assert_array_equal(one.found[name].boxes, other.found[name].boxes)
            np.testing.assert_array_equal(one.found[name].scores, other.found[name].scores)
            np.testing.assert_array_equal(one.found[name].corners, other.found[name].corners)


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("street", {"objects": street(64, 96)["objects"]}),
        ("street", street(96, 96)),
        ("street", {key: value[..., :-1] for key, value in street(64, 96).items()}),
        ("street", {key: value[:, 1:] for key, value in street(64, 96).items()}),
        ("street", street(64, 96) | {"parts": street(64, 96)["parts"][:, :-4]}),
        ("street", dict(reversed(street(64, 96).items()))),
        ("street", {key: value[None] for key, value in street(64, 96).items()}),
        ("centerface", {"537": np.zeros((1, 1, 8, 8), np.float32)}),
        ("centerface", {key: np.zeros((1, 1, 8, 8), np.float32) for key in "abcd"}),
        ("centerface", {key: value[:, :, :-1] for key, value in centerface().items()}),
        ("yunet", {key: value for key, value in yunet().items() if key != "obj_16"}),
        ("yunet", yunet(64, 64)),
        ("picodet", picodet(64, 64)),
        ("picodet", {key: value[..., :79] for key, value in picodet(64, 96).items()}),
    ],
)
def test_another_networks_outputs_are_refused(name: str, outputs: Arrays) -> None:
    floors = dict.fromkeys(DECODERS[name].finds, 0.5)
    with pytest.raises(ModelInvalid, match=name):
        DECODERS[name].decode(outputs, (64, 96), floors)


@pytest.mark.parametrize("shape", [(1, 10, 13), (1, 10), (1, 1, 10, 15)])
def test_a_plate_head_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelInvalid, match="yolov5face-plate"):
        decode("yolov5face-plate", {"output": np.zeros(shape, np.float32)}, (64, 64), license_plate=0.5)
