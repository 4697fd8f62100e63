"""What is an object, what is in doubt, and what is background, from hand labels and two teachers."""

from __future__ import annotations

from typing import Any

import pytest

from training.labels.fuse import classes_of, objects_of
from training.labels.hand import HandObject, HandPicture
from training.labels.records import Object
from training.labels.sources import Source
from training.labels.verdict import Rule, Sighting, judge

PLAIN = Source("plain", "", "", "")
STRICT = Source("strict", "", "", "", strict=("face",))
HOLES = Source("holes", "", "", "", holes=("face", "license-plate", "vehicle"))

FACE = (10.0, 10.0, 30.0, 40.0)
PLATE = (50.0, 60.0, 80.0, 70.0)
CORNERS = [50.0, 61.0, 80.0, 60.0, 80.0, 69.0, 50.0, 70.0]
CAR = (40.0, 20.0, 95.0, 80.0)


def picture(*objects: dict[str, Any], labelled: tuple[str, ...] = ()) -> HandPicture:
    made = [HandObject.model_validate(item) for item in objects]
    return HandPicture.model_validate(
        {"file": "1.jpg", "width": 100, "height": 100, "labelled_classes": labelled, "objects": made}
    )


def face(score: float, box: tuple[float, ...] = FACE) -> list[Any]:
    return ["face", score, *box]


def plate(score: float, box: tuple[float, ...] = PLATE) -> list[Any]:
    return ["license-plate", score, *box, *CORNERS]


def car(score: float = 0.9) -> list[Any]:
    return ["vehicle", score, *CAR]


def only(objects: tuple[Object, ...]) -> Object:
    (found,) = objects
    return found


@pytest.mark.parametrize(
    ("yunet", "centerface", "found"),
    [
        (0.95, None, "object"),
        (None, 0.95, "object"),
        (0.75, 0.75, "object"),
        (0.75, 0.65, "doubt"),
        (0.75, None, "doubt"),
        (None, 0.65, "doubt"),
        (0.5, 0.5, "nothing"),
    ],
)
def test_one_sure_teacher_or_two_that_agree_make_a_face(
    yunet: float | None, centerface: float | None, found: str
) -> None:
    seen = {name: [face(score)] for name, score in (("yunet", yunet), ("centerface", centerface)) if score is not None}
    objects = objects_of(PLAIN, picture(), seen)
    assert ["object" if not item.ignore else "doubt" for item in objects] == [found] * (found != "nothing")


def test_a_strict_set_asks_for_more() -> None:
    seen = {"yunet": [face(0.95)], "centerface": [face(0.75)]}
    assert not only(objects_of(PLAIN, picture(), seen)).ignore
    assert only(objects_of(STRICT, picture(), seen)).ignore
    both_sure = {"yunet": [face(0.93)], "centerface": [face(0.92)]}
    assert not only(objects_of(STRICT, picture(), both_sure)).ignore


def test_two_teachers_of_one_face_give_their_mean() -> None:
    seen = {"yunet": [face(0.95)], "centerface": [face(0.9, (12, 12, 32, 42))]}
    found = only(objects_of(PLAIN, picture(), seen))
    assert (found.bbox, found.source) == ((11, 11, 31, 41), "teacher")


def test_a_plate_is_one_only_in_a_vehicle() -> None:
    seen = {"hyperlpr-320": [plate(0.97)], "hyperlpr-640": [plate(0.9)]}
    assert only(objects_of(PLAIN, picture(), seen)).ignore
    found = only(objects_of(PLAIN, picture(), seen | {"picodet": [car()]}))
    assert not found.ignore
    assert found.corners == tuple(CORNERS)
    assert only(objects_of(PLAIN, picture(), seen | {"picodet": [car(0.1)]})).ignore


def test_a_vehicle_drawn_by_hand_carries_plates_and_a_bicycle_none() -> None:
    seen = {"hyperlpr-320": [plate(0.97)]}
    for name, ignored in (("car", False), ("bicycle", True)):
        drawn = picture({"cls": "vehicle", "bbox": CAR, "name": name}, labelled=("vehicle",))
        plates = [item for item in objects_of(PLAIN, drawn, seen) if item.cls == "license-plate"]
        assert [item.ignore for item in plates] == [ignored]


def test_where_a_class_is_labelled_teachers_add_nothing() -> None:
    """Not even doubt: it would spare the detector what it must learn to leave."""
    seen = {"yunet": [face(0.99)], "centerface": [face(0.5, (60, 60, 80, 90))]}
    assert objects_of(PLAIN, picture(labelled=("face",)), seen) == ()


def test_a_labelled_class_with_holes_ignores_what_teachers_are_sure_of() -> None:
    seen = {"yunet": [face(0.99), face(0.5, (60, 60, 80, 90))], "centerface": []}
    found = only(objects_of(HOLES, picture(labelled=("face",)), seen))
    assert (found.bbox, found.ignore, found.source) == (FACE, True, "teacher")


def test_a_sure_plate_outside_any_vehicle_fills_a_hole_too() -> None:
    """At night the vehicle is not seen; the plate is no background for that."""
    found = only(objects_of(HOLES, picture(labelled=("license-plate",)), {"hyperlpr-320": [plate(0.97)]}))
    assert found.ignore


def test_what_a_hand_label_covers_is_no_hole() -> None:
    drawn = picture({"cls": "face", "bbox": (9, 9, 31, 50)}, labelled=("face",))
    found = only(objects_of(HOLES, drawn, {"yunet": [face(0.99)]}))
    assert (found.source, found.ignore) == ("hand", False)


def test_a_hand_label_keeps_its_place_and_takes_the_teachers_corners() -> None:
    drawn = picture({"cls": "license-plate", "bbox": (50, 60, 80, 71)}, labelled=("license-plate",))
    found = only(objects_of(HOLES, drawn, {"hyperlpr-640": [plate(0.7)]}))
    assert (found.bbox, found.corners, found.source) == ((50, 60, 80, 71), tuple(CORNERS), "hand")


def test_corners_of_another_place_are_not_taken() -> None:
    drawn = picture({"cls": "license-plate", "bbox": (50, 60, 100, 76)}, labelled=("license-plate",))
    assert only(objects_of(HOLES, drawn, {"hyperlpr-640": [plate(0.7)]})).corners is None


@pytest.mark.parametrize("name", ["bicycle", "train"])
def test_what_the_product_does_not_hide_is_ignored(name: str) -> None:
    drawn = picture({"cls": "vehicle", "bbox": CAR, "name": name}, labelled=("vehicle",))
    assert only(objects_of(PLAIN, drawn, {})).ignore


def test_what_is_too_small_to_tell_is_ignored_and_a_far_plate_is_not() -> None:
    boxes = {(0, 0, 4, 5): True, (0, 0, 14, 4): False}
    for box, ignored in boxes.items():
        drawn = picture({"cls": "license-plate", "bbox": box}, labelled=("license-plate",))
        assert only(objects_of(PLAIN, drawn, {})).ignore is ignored


def test_persons_and_vehicles_are_labelled_by_people_only() -> None:
    assert objects_of(PLAIN, picture(), {"picodet": [car(), ["person", 0.9, *FACE]]}) == ()
    assert objects_of(PLAIN, picture(labelled=("vehicle",)), {"picodet": [car()]}) == ()
    assert only(objects_of(HOLES, picture(labelled=("vehicle",)), {"picodet": [car()]})).ignore


def test_faces_and_plates_are_labelled_everywhere() -> None:
    assert classes_of(picture()) == ("face", "license-plate")
    assert classes_of(picture(labelled=("vehicle", "person"))) == ("face", "license-plate", "person", "vehicle")


def test_boxes_of_teachers_end_with_the_picture() -> None:
    found = only(objects_of(PLAIN, picture(), {"yunet": [face(0.99, (-3, 90, 20, 112))]}))
    assert found.bbox == (0, 90, 20, 100)


def test_no_doubt_lies_on_an_object() -> None:
    rule = Rule(sure=0.9, both=0.7, weak=0.4)
    sure, beside = Sighting((0, 0, 20, 20), 0.95), Sighting((2, 6, 22, 30), 0.6)
    assert judge([sure], [beside], rule).doubtful == ()
    apart = Sighting((40, 40, 60, 60), 0.6)
    assert judge([sure], [apart], rule).doubtful == (apart,)


def test_a_teacher_that_sees_nothing_hinders_nobody() -> None:
    assert judge([], [], Rule(0.9, 0.7, 0.4)).sure == ()
    assert judge([], [Sighting(FACE, 0.95)], Rule(0.9, 0.7, 0.4)).sure == (Sighting(FACE, 0.95),)
