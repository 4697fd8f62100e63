"""Pixels: those inside outlines, and those that regions hide completely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.coverage import Coverage, coverage, outline
from evaluation.sets import LabelledObject
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.regions import build

OPTIONS = Options(Method.BLUR, {name: ClassOptions.default(name) for name in (ObjectClass.FACE, ObjectClass.PERSON)})
BOX = (10.0, 10.0, 30.0, 30.0)


def square(x1: float, y1: float, x2: float, y2: float) -> np.ndarray[Any, Any]:
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)


def person(*polygons: np.ndarray[Any, Any], ignore: bool = False) -> LabelledObject:
    return LabelledObject(ObjectClass.PERSON, BOX, ignore, polygons)


def found(*rows: tuple[str, float, float, float, float]) -> Detections:
    boxes = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(rows), 0.9, np.float32), as_classes(row[0] for row in rows))


def of(objects: list[LabelledObject], *rows: tuple[str, float, float, float, float]) -> Coverage:
    return coverage(objects, found(*rows), OPTIONS, 64, 48)[ObjectClass.PERSON]


def test_an_outline_is_the_pixels_inside_it() -> None:
    inside = outline([square(10, 10, 30, 30)], 64, 48)
    expected = np.zeros((48, 64), bool)
    expected[10:30, 10:30] = True
    np.testing.assert_array_equal(inside, expected)


def test_a_slanted_outline_and_one_that_leaves_the_picture() -> None:
    triangle = np.array([[0, 0], [8, 0], [0, 8]], np.float64)
    assert outline([triangle], 64, 48).sum() == 8 * 7 // 2  # the diagonal's own centres lie on its border
    assert outline([square(-10, -10, 4, 4), square(60, 40, 100, 100)], 64, 48).sum() == 4 * 4 + 4 * 8
    assert not outline([square(-10, -10, -2, 4), square(70, 0, 80, 10)], 64, 48).any()


def test_half_hidden() -> None:
    assert of([person(square(10, 10, 30, 30))], ("person", 10, 10, 20, 30)) == Coverage(400, 200)


@pytest.mark.parametrize("row", [("face", 10, 10, 30, 30), ("person", 40, 10, 60, 30)])
def test_not_hidden(row: tuple[str, float, float, float, float]) -> None:
    """By another class's region, or by one elsewhere."""
    assert of([person(square(10, 10, 30, 30))], row) == Coverage(400, 0)


def test_pixels_count_once_however_many_outlines_and_regions_hold_them() -> None:
    objects = [person(square(10, 10, 30, 30), square(20, 10, 40, 30)), person(square(10, 10, 30, 30))]
    assert of(objects, ("person", 10, 10, 30, 30), ("person", 10, 10, 30, 30)) == Coverage(600, 400)


def test_ignored_objects_and_those_without_outlines_have_no_pixels() -> None:
    assert of([person(square(10, 10, 30, 30), ignore=True), person()], ("person", 10, 10, 30, 30)) == Coverage(0, 0)
    assert Coverage(0, 0).recall is None


def test_the_gradient_around_a_face_does_not_hide() -> None:
    face = LabelledObject(ObjectClass.FACE, BOX, False, (square(0, 0, 64, 48),))
    wide = Options(Method.BLUR, {ObjectClass.FACE: ClassOptions(0.5, 0.5, gradient_start=1.0)})
    (region,) = build(boxed := found(("face", 10, 10, 30, 30)), wide, 64, 48)
    assert region is not None
    got = coverage([face], boxed, wide, 64, 48)[ObjectClass.FACE]
    assert got.labelled == 64 * 48
    assert 20 * 20 <= got.hidden < 28 * 28 < np.count_nonzero(region.strength)  # the gradient goes on to 40 x 40
