"""`hack/train label` on made sets, with a network as teacher that sees bright cells."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from evaluation.sets import find_sets
from support.labelled import face, write_set
from training import command
from training.errors import DataMissing, SetInvalid, TeacherInvalid
from training.labels import step
from training.labels.records import Record, read_records
from training.labels.sources import LEFT_OUT, REFUSED, SOURCES, left_out
from training.labels.teachers import Faculty, Looking, Teacher, read_seen
from velum_pipeline.options import ObjectClass

pytestmark = pytest.mark.usefixtures("nowhere_else")

CELLS = [(4, 4), (11, 11)]


class Counted:
    """Two teachers of one opinion; ``looked``: the pictures they were shown."""

    def __init__(self, packs: Path) -> None:
        teachers = [Teacher("bright", ("bright",), {ObjectClass.FACE: name}) for name in ("yunet", "centerface")]
        self.faculty = Faculty([packs], teachers)
        self.looked: list[str] = []

    def look(self, path: Path) -> dict[str, list[list[object]]]:
        self.looked.append(path.name)
        return self.faculty.look(path)


@pytest.fixture
def teachers(bright: Path) -> Counted:
    return Counted(bright)


@pytest.fixture
def label(data: Path, tmp_path: Path, teachers: Counted) -> Callable[..., list[Record]]:
    """label(): run the step in this process, give what it wrote."""

    def run(**fields: object) -> list[Record]:
        known = {"data": data, "work": tmp_path / "work", "threads": 1, "seed": 0}
        arguments = argparse.Namespace(**(known | fields))
        arguments.work.mkdir(exist_ok=True)
        step.run(arguments, lambda: teachers)  # type: ignore[arg-type, return-value]  # what looks like a Faculty
        return read_records(arguments.work / "labels.jsonl")

    return run


def numbered(
    count: int, cells: Sequence[tuple[int, int]] = ()
) -> list[tuple[str, list[tuple[int, int]], list[object]]]:
    return [(f"{number}.png", list(cells), []) for number in range(count)]


def test_teachers_complete_what_people_left_out(
    make_set: Callable[..., Path], label: Callable[..., list[Record]], capsys: pytest.CaptureFixture[str]
) -> None:
    make_set("ccp_street", [("1.png", CELLS, [face(*CELLS[0])])])
    (record,) = label()
    assert [(item.source, item.ignore) for item in record.objects] == [("hand", False), ("teacher", False)]
    assert (record.file, record.classes) == ("ccp_street/images/1.png", ("face", "license-plate"))
    assert "1 + 1, 0" in capsys.readouterr().out


def test_holes_of_hand_labels_are_ignored(make_set: Callable[..., Path], label: Callable[..., list[Record]]) -> None:
    make_set("faces_maskon", [("1.png", CELLS, [face(*CELLS[0])])], ["face"])
    (record,) = label()
    assert [(item.source, item.ignore) for item in record.objects] == [("hand", False), ("teacher", True)]


def test_a_run_goes_on_where_it_was_stopped(
    tmp_path: Path, make_set: Callable[..., Path], label: Callable[..., list[Record]], teachers: Counted
) -> None:
    make_set("faces_maskon", numbered(5, CELLS), ["face"])
    first = label()
    seen = tmp_path / "work" / "teachers" / "faces_maskon.jsonl"
    lines = seen.read_text().splitlines(keepends=True)
    seen.write_text("".join(lines[:3]) + lines[3][:20])  # killed while it wrote the fourth line
    teachers.looked.clear()
    assert label() == first
    assert teachers.looked == ["3.png", "4.png"]
    assert seen.read_text() == "".join(lines)


def test_the_same_command_writes_the_same_bytes(
    tmp_path: Path, make_set: Callable[..., Path], label: Callable[..., list[Record]]
) -> None:
    make_set("plates_romania", numbered(3, CELLS))
    label()
    before = (tmp_path / "work" / "labels.jsonl").read_bytes()
    label(work=tmp_path / "again")
    assert (tmp_path / "again" / "labels.jsonl").read_bytes() == before


def test_parts_stay_when_a_set_or_a_picture_is_left_out(
    tmp_path: Path,
    make_set: Callable[..., Path],
    label: Callable[..., list[Record]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_set("coco_tiny", numbered(40))
    alone = {record.file: record.split for record in label()}
    make_set("indoor_bg", numbered(3))
    table = tmp_path / "left_out.toml"
    table.write_text('[[picture]]\nset = "coco_tiny"\nfile = "5.png"\nreason = "marked"\n')
    monkeypatch.setattr(step, "left_out", lambda: left_out(table))
    beside = {record.file: record.split for record in label() if record.set == "coco_tiny"}
    assert set(alone) - set(beside) == {"coco_tiny/images/5.png"}
    assert beside == {file: alone[file] for file in beside}
    assert {"train", "val"} == set(alone.values())


def test_sets_without_a_licence_or_unknown_are_not_used_and_said(
    make_set: Callable[..., Path], label: Callable[..., list[Record]], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("camvid", "someones_holiday", "indoor_bg"):
        make_set(name, numbered(1))
    assert [record.set for record in label()] == ["indoor_bg"]
    said = capsys.readouterr().err
    assert "set camvid: not used: published for research" in said
    assert "set someones_holiday: not used: training/labels/sources.py does not know it" in said


def test_a_folder_without_sets_is_said(label: Callable[..., list[Record]]) -> None:
    with pytest.raises(DataMissing, match="holds none of the sets"):
        label()


def test_the_kept_back_part_is_a_set_for_evaluation(
    tmp_path: Path, make_set: Callable[..., Path], label: Callable[..., list[Record]]
) -> None:
    pictures = [(f"{number}.png", CELLS, [face(*CELLS[0])]) for number in range(20)]
    make_set("coco_tiny", pictures, ["person"])
    kept_back = tmp_path / "work" / "validation"
    write_set(kept_back / "gone", [(CELLS, [])])
    for picture in (kept_back / "gone").glob("*.png"):  # as a run wrote it, of a set that is not there any more
        picture.rename(tmp_path / picture.name)
        picture.symlink_to(tmp_path / picture.name)
    write_set(kept_back / "own", [(CELLS, [])])
    label()
    records = label()  # over what lies there
    own, found = sorted(find_sets(kept_back), key=lambda each: each.name != "own")
    assert own.name == "own"  # it has a picture that no run has put there
    assert found.name == "coco_tiny"
    kept = {Path(record.file).name for record in records if record.split == "val"}
    assert {picture.file for picture in found.pictures} == kept
    assert 0 < len(kept) < len(records)
    expected = {ObjectClass.FACE, ObjectClass.LICENSE_PLATE, ObjectClass.PERSON}
    assert all(picture.classes == expected for picture in found.pictures)
    assert all(len(picture.objects) == 2 for picture in found.pictures)
    assert found.pixels(found.pictures[0]).shape == (64, 64, 3)


def test_teachers_work_in_processes_of_their_own(
    data: Path, tmp_path: Path, make_set: Callable[..., Path], bright: Path
) -> None:
    make_set("a", numbered(3, CELLS))
    teachers = [Teacher("bright", ("bright",), {ObjectClass.FACE: "yunet"})]
    looking = Looking(data, tmp_path / "seen", partial(Faculty, [bright], teachers), 2)
    assert list(looking.run({"a": ["0.png", "1.png", "2.png"]})) == [("a", 2), ("a", 1), ("a", 0)]
    seen = read_seen(tmp_path / "seen" / "a.jsonl")
    assert list(seen) == ["0.png", "1.png", "2.png"]
    assert [row[0] for row in seen["0.png"]["yunet"]] == ["face", "face"]
    assert list(looking.run({"a": ["0.png", "1.png", "2.png"]})) == []


def test_a_picture_that_breaks_names_its_set(
    data: Path, tmp_path: Path, make_set: Callable[..., Path], bright: Path
) -> None:
    (make_set("a", numbered(1)) / "images" / "0.png").write_bytes(b"\x89PNG, honestly")
    teachers = [Teacher("bright", ("bright",), {ObjectClass.FACE: "yunet"})]
    looking = Looking(data, tmp_path / "seen", partial(Faculty, [bright], teachers), 1)
    with pytest.raises(SetInvalid, match=r"set a: .*0\.png is no picture"):
        list(looking.run({"a": ["0.png"]}))


def test_what_teachers_did_not_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(TeacherInvalid, match=r"a\.jsonl: .*delete the file"):
        read_seen(tmp_path / "a.jsonl")


def test_every_left_out_picture_is_of_a_known_set_and_says_why() -> None:
    named = left_out(LEFT_OUT)
    assert named.keys() <= {source.name for source in SOURCES}
    assert all(reason for files in named.values() for reason in files.values())
    assert not {source.name for source in SOURCES} & {refused.name for refused in REFUSED}


def test_the_command_ends_in_one_line_for_what_the_user_can_mend(
    tmp_path: Path, make_set: Callable[..., Path], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_set("indoor_bg", numbered(1))
    entries = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").write_text(json.dumps([entries[0] | {"height": 1}]))
    assert command.main(["label", "--data", str(data), "--work", str(tmp_path / "work")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "hack/train: set indoor_bg: images/0.png is 64 x 64 pixels, annotations.json says 64 x 1"
