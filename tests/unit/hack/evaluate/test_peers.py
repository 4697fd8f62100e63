"""The peers' protocol, spoken by a real command: what it says counts, and what it fails to say is an error."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaluation.errors import PeerFailed, SubjectInvalid
from evaluation.measure import Settings
from evaluation.peers import parse_peer
from evaluation.sets import LabelledSet, read_set
from evaluation.subjects import Sighting
from support.labelled import face
from velum_pipeline.options import ObjectClass

PIXELS = np.zeros((64, 64, 3), np.uint8)
SAY = """
import json, os, sys
for path in sys.argv[1:]:
    found = {"cls": "face", "bbox": [1, 2, 11, 22], "score": 0.5}
    print(json.dumps({"file": path, "detections": [found] * int(os.path.basename(path)[0]), "ms": 7.5}))
"""


@pytest.fixture
def labelled(make_set: Callable[..., Path]) -> LabelledSet:
    return read_set(make_set("a", [([], [face(4, 4)]), ([], [face(5, 5)]), ([], [])]), "a")


def sightings(code: str, labelled: LabelledSet, head: str = "other") -> list[Sighting]:
    peer = parse_peer(f"{head}={shlex.join([sys.executable, '-c', code])}")
    look = peer.over(labelled, Settings().options(frozenset({ObjectClass.FACE})))
    return [look(picture, PIXELS) for picture in labelled.pictures]


def test_what_it_says(labelled: LabelledSet) -> None:
    nothing, one, two = sightings(SAY, labelled)
    assert [len(each.detections) for each in (nothing, one, two)] == [0, 1, 2]
    assert one.detections.boxes.tolist() == [[1, 2, 11, 22]]
    assert one.detections.scores.tolist() == [0.5]
    assert one.detections.classes.tolist() == [ObjectClass.FACE]
    assert one.milliseconds == 7.5


def test_it_may_answer_in_any_order_by_name_and_without_a_time(labelled: LabelledSet) -> None:
    said = SAY.replace("sys.argv[1:]", "reversed(sys.argv[1:])").replace('"file": path', '"file": path[-5:]')
    found = sightings(said.replace(', "ms": 7.5', "") + "print()", labelled)
    assert [len(each.detections) for each in found] == [0, 1, 2]
    assert found[0].milliseconds is None


def test_its_other_classes_do_not_count_and_boxes_end_at_the_picture(labelled: LabelledSet) -> None:
    said = SAY.replace("[found]", '[found, dict(found, cls="plate"), dict(found, bbox=[-5, 60, 10, 90])]')
    found = sightings(said, labelled)[1].detections
    assert found.boxes.tolist() == [[1, 2, 11, 22], [0, 60, 10, 64]]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('hello')", "Invalid JSON"),
        ("print('[]')", "should be an object"),
        ('print(\'{"file": "0.png"}\')', "detections: Field required"),
        (SAY.replace('"face"', '"dog"'), "detections.0.cls: Value error, unknown class 'dog'"),
        (SAY.replace("[1, 2, 11, 22]", "[1, 2, 11]"), "detections.0.bbox"),
        (SAY.replace("0.5", "float('nan')"), "detections.0.score"),
        (SAY.replace("7.5", "-1"), "ms: "),
        (SAY.replace("argv[1:]", "argv[2:]"), "gave no answer for 1 of 3 pictures of a: 0.png"),
        ("", "gave no answer for 3 of 3 pictures"),
        (SAY + SAY, "answered twice for "),
        (SAY.replace('"file": path', '"file": "x.png"'), "answered for 'x.png', which is no picture of a"),
        (SAY + "sys.exit('out of\\nmemory')", "ended with 1: memory"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9: it said nothing"),
    ],
)
def test_what_breaks_the_protocol_is_an_error(labelled: LabelledSet, code: str, said: str) -> None:
    with pytest.raises(PeerFailed) as caught:
        sightings(code, labelled)
    assert str(caught.value).startswith("peer other: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value).replace(shlex.quote(code), "")


def test_a_command_that_is_not_there(labelled: LabelledSet) -> None:
    with pytest.raises(PeerFailed, match="peer x: cannot run /nowhere/at-all: No such file"):
        parse_peer("x=/nowhere/at-all").over(labelled, Settings().options(frozenset({ObjectClass.FACE})))


def test_it_may_say_which_classes_it_finds() -> None:
    assert parse_peer("x=y z").classes == set(ObjectClass)
    peer = parse_peer("x:face,plate=y 'a b' c=d")
    assert peer.classes == {ObjectClass.FACE, ObjectClass.LICENSE_PLATE}
    assert (peer.name, peer.command) == ("x", ("y", "a b", "c=d"))


@pytest.mark.parametrize("given", ["", "x", "x=", "=y", "x:dog=y", "x='y"])
def test_what_is_no_peer(given: str) -> None:
    with pytest.raises(SubjectInvalid, match="--peer"):
        parse_peer(given)
