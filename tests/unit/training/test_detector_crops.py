"""Crops: boxes and corners stay on what they are of, whatever is done to the pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from training.detector import crops
from training.detector.appearance import changed, mirrored
from training.detector.batches import Crops
from training.detector.crops import Sample
from training.detector.kinds import sample
from training.detector.plates import LEAST_WIDTH, repainted
from training.labels.records import Object, Record

ORIENTATION = 0x0112
"""EXIF's tag; 6: the picture is to be turned by a quarter."""
WHITE = (255, 255, 255)
SIZE = (224, 192)


def scene(seed: int = 0) -> tuple[Record, crops.Pixels]:
    """A dark picture with one bright face and one bright plate, as they are labelled."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 30, (240, 320, 3)).astype(np.uint8)
    cv2.rectangle(pixels, (40, 60), (79, 109), WHITE, -1)
    cv2.rectangle(pixels, (180, 150), (259, 169), WHITE, -1)
    corners = (180.0, 150.0, 260.0, 150.0, 260.0, 170.0, 180.0, 170.0)
    objects = (
        Object("face", (40, 60, 80, 110), False, None, "hand"),
        Object("license-plate", (180, 150, 260, 170), False, corners, "hand"),
        Object("person", (30, 50, 100, 230), False, None, "hand"),
    )
    return Record("made", "a.png", 320, 240, "train", ("face", "license-plate"), objects), pixels


def bright_box(pixels: crops.Pixels, near: np.ndarray) -> np.ndarray:
    """Of the bright pixels around a box: their own box."""
    x1, y1, x2, y2 = (int(v) for v in (near[0] - 6, near[1] - 6, near[2] + 6, near[3] + 6))
    x1, y1 = max(x1, 0), max(y1, 0)
    rows, columns = np.nonzero(pixels[y1:y2, x1:x2].min(2) > 128)
    return np.array([columns.min() + x1, rows.min() + y1, columns.max() + x1 + 1, rows.max() + y1 + 1])


def made(seed: int) -> Sample:
    record, pixels = scene()
    return sample([record], np.array([1.0]), lambda _record: pixels, SIZE, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(60))
def test_boxes_stay_on_their_objects(seed: int) -> None:
    found = made(seed)
    assert found.pixels.shape == (SIZE[1], SIZE[0], 3)
    for box, ignore in zip(found.boxes, found.ignore, strict=True):
        alone = not any(
            (np.maximum(box[:2] - 8, other[:2]) < np.minimum(box[2:] + 8, other[2:])).all()
            for other in found.boxes
            if other is not box
        )
        if not ignore and alone and min(box[2:] - box[:2]) > 8:
            np.testing.assert_allclose(bright_box(found.pixels, box), box, atol=1.6)


def test_all_kinds_of_objects_come_up() -> None:
    found = [made(seed) for seed in range(200)]
    sides = np.concatenate([f.boxes[~f.ignore][:, 2:] - f.boxes[~f.ignore][:, :2] for f in found])
    assert (sides.max(1) > 0.6 * min(SIZE)).sum() > 15
    assert (sides.min(1) < 14).sum() > 15
    assert sum((f.classes == 0).any() for f in found) > 60
    assert sum((f.classes == 1).any() for f in found) > 60
    assert all((f.classes < 2).all() for f in found)


def test_a_crop_depends_on_its_draw_alone() -> None:
    one, other = made(7), made(7)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def test_what_is_hardly_left_is_ignored() -> None:
    record, pixels = scene()
    found = crops._objects(record, pixels[:, :50], np.ones(2, np.float32), np.zeros(2, np.float32))
    assert found.classes.tolist() == [0]
    assert found.ignore.tolist() == [True]  # a quarter of the face


def test_corners_that_were_cut_off_teach_nothing() -> None:
    record, pixels = scene()
    found = crops._objects(record, pixels[:, :230], np.ones(2, np.float32), np.zeros(2, np.float32))
    assert found.ignore.tolist() == [False, False]
    assert np.isnan(found.corners).all()


def test_mirrored_corners_keep_their_order() -> None:
    record, pixels = scene()
    found = mirrored(crops._objects(record, pixels, np.ones(2, np.float32), np.zeros(2, np.float32)))
    assert found.boxes[1].tolist() == [60, 150, 140, 170]
    assert found.corners[1].tolist() == [60, 150, 140, 150, 140, 170, 60, 170]
    np.testing.assert_allclose(bright_box(found.pixels, found.boxes[1]), found.boxes[1], atol=1)


@pytest.mark.parametrize("seed", range(30))
def test_other_looks_keep_size_and_objects(seed: int) -> None:
    record, pixels = scene()
    before = crops._objects(record, pixels, np.ones(2, np.float32), np.zeros(2, np.float32))
    after = changed(before, np.random.default_rng(seed))
    assert after.pixels.shape == pixels.shape
    assert after.pixels.dtype == np.uint8
    assert after.boxes[:, 3].tolist() == before.boxes[:, 3].tolist()


def test_plates_are_painted_inside_their_corners_only() -> None:
    record, pixels = scene()
    painted = 0
    for seed in range(20):
        found = crops._objects(record, pixels.copy(), np.ones(2, np.float32), np.zeros(2, np.float32))
        repainted(found, np.random.default_rng(seed))
        different = (found.pixels != pixels).any(2)
        painted += bool(different.any())
        different[149:171, 179:261] = False
        assert not different.any()
    assert 1 <= painted <= 15


def test_a_plate_too_small_to_read_is_left() -> None:
    record, pixels = scene()
    shrunk = np.full(2, (LEAST_WIDTH - 1) / 80, np.float32)
    found = crops._objects(record, pixels.copy(), shrunk, np.zeros(2, np.float32))
    for seed in range(20):
        repainted(found, np.random.default_rng(seed))
    np.testing.assert_array_equal(found.pixels, pixels)


@pytest.mark.parametrize(("drawn", "share"), [(False, crops.NOTHING["license-plate"]), (True, 0.0)])
def test_doubtful_plates_are_background_now_and_then_where_nobody_drew_one(drawn: bool, share: float) -> None:
    record, _ = scene()
    doubtful = Object("license-plate", (10, 10, 60, 22), True, None, "teacher")
    face = Object("face", (200, 10, 240, 60), True, None, "hand")
    plates = [each for each in record.objects if each.cls == "license-plate"] if drawn else []
    record = replace(record, objects=(doubtful, face, *plates))
    draw = np.random.default_rng(0)
    judged = [crops._judged(record, draw).objects for _ in range(500)]
    assert sum(doubtful not in objects for objects in judged) / 500 == pytest.approx(share, abs=0.07)
    assert all(face in objects for objects in judged)
    assert all(plate in objects for objects in judged for plate in plates)


@pytest.fixture
def made_crops(tmp_path: Path) -> Crops:
    """Batches of two pictures whose EXIF wants them turned; labelled as they are stored."""
    records, exif = [], Image.Exif()
    exif[ORIENTATION] = 6
    for number in range(3):
        Image.new("RGB", (60, 40), (number, 0, 0)).save(tmp_path / f"{number}.png", exif=exif)
        records.append(Record("made", f"{number}.png", 60, 40, "train", ("face", "license-plate"), ()))
    return Crops(records, tmp_path, tmp_path / "trunk.onnx", 2, 0)


def test_pictures_are_read_as_they_are_stored(made_crops: Crops) -> None:
    assert made_crops._read(made_crops._records[1]).shape == (40, 60, 3)


def test_only_so_many_pictures_are_kept(made_crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_crops, "_room", 2 * 60 * 40 * 3)
    records = made_crops._records
    first = made_crops._read(records[0])
    made_crops._read(records[1])
    assert made_crops._read(records[0]) is first
    made_crops._read(records[2])
    assert list(made_crops._pictures) == ["0.png", "2.png"]  # 1.png was used longest ago
    assert made_crops._read(records[0]) is first
    assert made_crops._room == 0
