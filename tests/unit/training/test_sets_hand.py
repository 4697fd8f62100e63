"""Annotations that lie are named with their set and picture before anything is trained on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.errors import SetInvalid
from training.labels.hand import read_set

BOX = {"cls": "face", "bbox": [1, 2, 30, 40]}


def test_pictures_come_as_people_count(data: Path, make_set: Callable[..., Path]) -> None:
    make_set("a", [("frame10.png", [], [BOX]), ("frame9.png", [], [])], ["face"])
    frame9, frame10 = read_set(data, "a")
    assert (frame9.file, frame10.file) == ("frame9.png", "frame10.png")
    assert frame10.objects[0].bbox == (1, 2, 30, 40)
    assert frame10.labelled_classes == ("face",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"width": 65}, r"images/1\.png is 64 x 64 pixels, annotations\.json says 65 x 64"),
        ({"file": "2.png"}, r"images/2\.png: No such file"),
        ({"file": "../../1.png"}, r"\(\.\./\.\./1\.png\): file must lie below"),
        ({"labelled_classes": ["dog"]}, r"\[0\]\.labelled_classes\[0\] \(1\.png\)"),
        ({"objects": [BOX | {"bbox": [1, 2, 30, 400]}]}, r"1\.png: objects\[0\]: bbox .* is no box in 64 x 64"),
        ({"objects": [BOX | {"bbox": [30, 2, 1, 40]}]}, r"1\.png: objects\[0\]: bbox"),
        ({"objects": [BOX | {"cls": "dog"}]}, r"\[0\]\.objects\[0\]\.cls \(1\.png\)"),
        ({"objects": [BOX | {"bbox": [1, 2, float("nan"), 4]}]}, r"\[0\]\.objects\[0\]\.bbox\[2\]"),
    ],
)
def test_what_is_wrong_is_named(data: Path, make_set: Callable[..., Path], change: dict[str, Any], said: str) -> None:
    make_set("a", [("1.png", [], [BOX])], ["face"], **change)
    with pytest.raises(SetInvalid, match=f"set a: .*{said}"):
        read_set(data, "a")


def test_a_picture_listed_twice_is_named(data: Path, make_set: Callable[..., Path]) -> None:
    folder = make_set("a", [("1.png", [], []), ("1.png", [], [])])
    with pytest.raises(SetInvalid, match=r"lists 1\.png twice"):
        read_set(data, folder.name)


@pytest.mark.parametrize("content", ["[", "{}", json.dumps([1])])
def test_annotations_that_are_none_are_named(data: Path, make_set: Callable[..., Path], content: str) -> None:
    (make_set("a", [("1.png", [], [])]) / "annotations.json").write_text(content)
    with pytest.raises(SetInvalid, match=r"set a: annotations\.json"):
        read_set(data, "a")


def test_what_is_no_picture_is_named(data: Path, make_set: Callable[..., Path]) -> None:
    (make_set("a", [("1.png", [], [])]) / "images" / "1.png").write_bytes(b"a picture, honestly")
    with pytest.raises(SetInvalid, match=r"images/1\.png is no picture"):
        read_set(data, "a")
