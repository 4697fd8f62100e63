"""labels.jsonl: what was written is read, and what is broken is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.errors import LabelsInvalid
from training.labels.records import Object, Record, read_records, write_records

PLATE = Object("license-plate", (1.0, 2.0, 31.5, 12.0), False, (1.0, 2.0, 31.0, 2.0, 31.0, 12.0, 1.0, 12.0), "teacher")
FACE = Object("face", (1.0, 2.0, 3.0, 4.0), True, None, "hand")


def record(**fields: Any) -> Record:
    known = {
        "set": "a", "file": "a/images/1.jpg", "width": 40, "height": 30, "split": "val",
        "classes": ("face", "license-plate"), "objects": (FACE, PLATE),
    }  # fmt: skip
    return Record(**(known | fields))


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    one, other = record(), record(file="a/images/0.jpg", split="train", objects=())
    write_records(tmp_path / "labels.jsonl", [one, other])
    assert read_records(tmp_path / "labels.jsonl") == [other, one]
    assert [path.name for path in tmp_path.iterdir()] == ["labels.jsonl"]


def test_the_form_is_the_one_that_is_promised(tmp_path: Path) -> None:
    write_records(tmp_path / "labels.jsonl", [record()])
    (line,) = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "set": "a", "file": "a/images/1.jpg", "width": 40, "height": 30, "split": "val",
        "classes": ["face", "license-plate"],
        "objects": [
            {"cls": "face", "bbox": [1, 2, 3, 4], "ignore": True, "corners": None, "source": "hand"},
            {"cls": "license-plate", "bbox": [1, 2, 31.5, 12], "ignore": False,
             "corners": [1, 2, 31, 2, 31, 12, 1, 12], "source": "teacher"},
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split": "test"}, "split 'test'"),
        ({"width": None}, "line 2"),
        ({"classes": ["dog"]}, "unknown class 'dog'"),
        ({"objects": [{"cls": "dog", "source": "hand"}]}, "object of 'dog'"),
        ({"objects": [{"cls": "face", "source": "hand", "bbox": [1, 2], "ignore": False, "corners": None}]}, "bbox"),
        ({"objects": [{"cls": "face", "source": "hand", "bbox": [1, 2, 3, 4], "ignore": False}]}, "lacks 'corners'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "labels.jsonl"
    write_records(path, [record()])
    path.write_text(path.read_text() + json.dumps(json.loads(path.read_text()) | change) + "\n")
    with pytest.raises(LabelsInvalid, match=r"labels\.jsonl: line 2: ") as caught:
        read_records(path)
    assert said in str(caught.value)


def test_labels_that_nobody_made_yet_say_how(tmp_path: Path) -> None:
    with pytest.raises(LabelsInvalid, match="hack/train label"):
        read_records(tmp_path / "labels.jsonl")
