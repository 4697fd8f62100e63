"""Sets are read whole or not at all, and what is wrong with one is said with its name and the file's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from evaluation.annotations import class_named
from evaluation.errors import SetInvalid
from evaluation.sets import find_sets, read_set
from support.labelled import face
from velum_pipeline.options import ObjectClass

MakeSet = Callable[..., Path]
Entry = dict[str, Any]


def rewritten(folder: Path, change: Callable[[list[Entry]], Any]) -> Path:
    path = folder / "annotations.json"
    entries = json.loads(path.read_text())
    changed = change(entries)
    path.write_text(json.dumps(entries if changed is None else changed))
    return folder


def test_sets_are_found_at_any_depth_by_their_path(data: Path, make_set: MakeSet) -> None:
    for name in ("b", "a/deep/er", "a/x"):
        make_set(name, [([], [face(4, 4)])])
    (data / "a" / "notes.txt").write_text("no set")
    assert [each.name for each in find_sets(data)] == ["a/deep/er", "a/x", "b"]


def test_sets_may_be_gathered_by_links(data: Path, make_set: MakeSet, tmp_path: Path) -> None:
    folder = make_set("b", [([], [face(4, 4)])])
    gathered = tmp_path / "gathered" / "c"
    gathered.mkdir(parents=True)
    (gathered / "linked").symlink_to(folder)
    (gathered / "around").symlink_to(tmp_path / "gathered")
    assert [each.name for each in find_sets(tmp_path / "gathered")] == ["c/linked"]


def test_the_folder_itself_may_be_the_set(data: Path, make_set: MakeSet) -> None:
    folder = make_set("faces/street", [([], [face(4, 4)])])
    assert [each.name for each in find_sets(folder)] == ["street"]


def test_what_it_holds(make_set: MakeSet) -> None:
    square = [1, 1, 5, 1, 5, 5, 1, 5]
    plate = {"cls": "plate", "bbox": [1, 1, 5, 3], "ignore": True, "keypoints": [1, 2], "polygons": [square]}
    person = {"cls": "person", "bbox": [1.5, 1, 5, 3], "polygons": [square, [[1, 1], [2, 1], [2, 2]]]}
    one = read_set(make_set("a", [([], [plate, person]), ([], [])]), "a")
    assert (one.classes, one.words[ObjectClass.LICENSE_PLATE]) == (
        [ObjectClass.LICENSE_PLATE, ObjectClass.PERSON],
        "plate",
    )
    assert [picture.file for picture in one.pictures] == ["0.png", "1.png"]
    first, second = one.pictures[0].objects
    assert (first.ignore, second.ignore, second.box) == (True, False, (1.5, 1, 5, 3))
    assert [points.tolist()[:2] for points in second.polygons] == [[[1, 1], [5, 1]], [[1, 1], [2, 1]]]
    assert one.pictures[1].classes == {ObjectClass.LICENSE_PLATE, ObjectClass.PERSON}
    assert (one.outlined(ObjectClass.PERSON), one.outlined(ObjectClass.LICENSE_PLATE)) == (True, False)
    assert [picture.file for picture in one.first(1).pictures] == ["0.png"]
    assert one.pixels(one.pictures[0]).shape == (64, 64, 3)


def test_a_picture_may_say_what_is_labelled_in_it(make_set: MakeSet) -> None:
    folder = make_set("a", [([], [face(4, 4)]), ([], [])], only=["person"])
    one = read_set(rewritten(folder, lambda entries: entries[0].pop("only") and None), "a")
    assert one.classes == [ObjectClass.FACE, ObjectClass.PERSON]
    assert one.pictures[0].classes == {ObjectClass.FACE, ObjectClass.PERSON}
    assert one.pictures[1].classes == {ObjectClass.PERSON}


@pytest.mark.parametrize("word", ["license-plate", "license_plate", "plate", " Plate "])
def test_a_class_has_several_words(word: str) -> None:
    assert class_named(word) is ObjectClass.LICENSE_PLATE


def broken(key: str, value: Any, depth: int) -> Callable[[list[Entry]], None]:
    def change(entries: list[Entry]) -> None:
        target = entries[1] if depth == 0 else entries[1]["objects"][0]
        if value is ...:
            del target[key]
        else:
            target[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda entries: {"pictures": entries}, "not a list"),
        (lambda _: [], "lists no picture"),
        (lambda entries: [entries[0], 7], "[1]"),
        (lambda entries: [*entries, entries[0]], "lists 0.png twice"),
        (broken("file", ..., 0), "[1].file: Field required"),
        (broken("objects", ..., 0), "[1].objects (1.png): Field required"),
        (broken("objects", {}, 0), "[1].objects (1.png)"),
        (broken("width", 65, 0), "1.png: is 64 x 64 pixels, annotations.json says 65 x 64"),
        (broken("height", 0, 0), "[1].height (1.png)"),
        (broken("file", "2.png", 0), "2.png: No such file"),
        (broken("only", ["dog"], 0), "[1].only[0] (1.png): unknown class 'dog'"),
        (broken("cls", "dog", 1), "[1].objects[0].cls (1.png): unknown class 'dog'; one of face"),
        (broken("bbox", ..., 1), "[1].objects[0].bbox (1.png): Field required"),
        (broken("bbox", [1, 2, 3], 1), "[1].objects[0].bbox"),
        (broken("bbox", [5, 2, 3, 4], 1), "[1].objects[0] (1.png): bbox must be x1 < x2"),
        (broken("bbox", [1, 2, float("nan"), 4], 1), "finite"),
        (broken("polygons", [[1, 2, 3, 4]], 1), "three points"),
        (broken("polygons", [[1, 2, 3, 4, 5, 6, 7]], 1), "three points"),
    ],
)
def test_a_broken_set_is_an_error_that_says_where(
    make_set: MakeSet, change: Callable[[list[Entry]], Any], said: str
) -> None:
    folder = rewritten(make_set("faces/a", [([], [face(4, 4)]), ([], [face(5, 5)])]), change)
    with pytest.raises(SetInvalid) as caught:
        read_set(folder, "faces/a")
    assert str(caught.value).startswith("set faces/a: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_that_are_no_json(make_set: MakeSet) -> None:
    folder = make_set("a", [([], [])])
    (folder / "annotations.json").write_text("[{")
    with pytest.raises(SetInvalid, match=r"set a: annotations\.json is not JSON"):
        read_set(folder, "a")


def test_a_folder_without_sets(tmp_path: Path) -> None:
    with pytest.raises(SetInvalid, match="there is no annotations"):
        find_sets(tmp_path)
    with pytest.raises(SetInvalid, match="is not a folder"):
        find_sets(tmp_path / "nothing")


def test_a_file_that_is_no_picture_is_an_error_at_once(make_set: MakeSet) -> None:
    folder = make_set("a", [([], [face(4, 4)])])
    (folder / "0.png").write_bytes(b"not a picture")
    with pytest.raises(SetInvalid, match=r"set a: 0\.png: is no picture"):
        read_set(folder, "a")


def test_a_picture_that_does_not_decode_is_an_error_and_no_omission(make_set: MakeSet) -> None:
    folder = make_set("a", [([(4, 4)], [face(4, 4)])])
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:40])  # a header and nothing more
    one = read_set(folder, "a")
    with pytest.raises(SetInvalid, match=r"set a: 0\.png: cannot be read"):
        one.pixels(one.pictures[0])


def test_a_picture_that_velum_refuses_and_others_read_is_measured_with_a_word(
    make_set: MakeSet, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_set("a", [([], [])])
    coded = cv2.imencode(".jpg", np.full((64, 64, 3), 200, np.uint8))[1].tobytes()
    scan = coded.rindex(b"\xff\xda")
    (folder / "0.png").write_bytes(coded[:scan] + b"stray" + coded[scan:])
    one = read_set(folder, "a")
    assert abs(one.pixels(one.pictures[0])[0, 0] - np.float32(200)).max() < 3
    assert "set a: 0.png: refused (" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "height", "fits"), [(24, 48, True), (48, 24, False)])
def test_sizes_are_those_of_the_picture_as_displayed(make_set: MakeSet, width: int, height: int, fits: bool) -> None:
    """A camera on its side: 48 x 24 pixels stored, to be shown turned."""
    folder = make_set("a", [([], [face(4, 4)])])
    turned = Image.Exif()
    turned[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((24, 48, 3), np.uint8)).save(buffer, "JPEG", exif=turned)
    (folder / "0.png").write_bytes(buffer.getvalue())  # the bytes say what it is, not the name
    rewritten(folder, lambda entries: entries[0].update(width=width, height=height))
    one = read_set(folder, "a")
    if fits:
        assert one.pixels(one.pictures[0]).shape == (48, 24, 3)
    else:
        with pytest.raises(SetInvalid, match=r"0\.png: is 24 x 48 pixels"):
            one.pixels(one.pictures[0])


def test_sizes_may_be_left_out(make_set: MakeSet) -> None:
    folder = make_set("a", [([], [])])
    cv2.imwrite(str(folder / "0.png"), np.zeros((5, 7, 3), np.uint8))
    rewritten(folder, lambda entries: entries[0].update(width=None, height=None))
    one = read_set(folder, "a")
    assert one.pixels(one.pictures[0]).shape == (5, 7, 3)
