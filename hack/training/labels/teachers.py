"""Networks that look at every picture for what people did not label, and what they saw, kept on disk.

Each teacher is a part of a pack, asked by itself: that two of them agree says more than a fused score. What they saw
of a set is ``SET.jsonl``, a picture a line, appended as it comes, so that a run which was stopped goes on:

    {"file": NAME, "seen": {TEACHER: [[CLASS, score, x1, y1, x2, y2, x, y, ... 8 corners or none], ...], ...}}

Scores are the contract's: .5 (persons, vehicles: .4) is where the pack calls it an object.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evaluation.command import weights_folders
from evaluation.subjects import load_packs
from training.errors import SetInvalid, TeacherInvalid
from training.labels.hand import IMAGES
from velum_pipeline.detect import Detector, Runtime
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

LEAST = 0.15
"""Scores below this say nothing of a picture."""
Rows = Sequence[Sequence[Any]]
Seen = Mapping[str, Rows]


@dataclass(frozen=True)
class Teacher:
    """Some components of a pack; ``classes``: what they are asked for, and by which name what they see is kept."""

    pack: str
    components: tuple[str, ...]
    classes: Mapping[ObjectClass, str]


TEACHERS = (
    Teacher(
        "street",
        (
            *("yunet", "yunet-near", "yunet-far", "yunet-heads"),
            *("hyperlpr-320", "hyperlpr-near", "hyperlpr-vehicles", "picodet-s", "picodet-s-far"),
        ),
        {
            ObjectClass.FACE: "yunet",
            ObjectClass.LICENSE_PLATE: "hyperlpr-320",
            ObjectClass.PERSON: "picodet",
            ObjectClass.VEHICLE: "picodet",
        },
    ),
    Teacher("street", ("hyperlpr-640", "hyperlpr-640-whole"), {ObjectClass.LICENSE_PLATE: "hyperlpr-640"}),
    Teacher("centerface", ("centerface", "centerface-near", "centerface-far"), {ObjectClass.FACE: "centerface"}),
)


class Faculty:
    """All teachers, loaded. One thread each: they run in as many processes as there are cores."""

    def __init__(self, folders: Sequence[Path], teachers: Sequence[Teacher] = TEACHERS) -> None:
        """``folders`` hold packs and weights. Raises what the registry raises."""
        runtime = Runtime(threads=1)
        whole = {name: load_packs(name, folders, runtime).detector for name in {each.pack for each in teachers}}
        self._taught = [(teacher, _part(whole[teacher.pack], teacher)) for teacher in teachers]

    def look(self, path: Path) -> dict[str, list[list[Any]]]:
        """What each of them sees in a picture, by teacher, best first. Raises OSError when it cannot be read."""
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            raise OSError(f"{path} is no picture")
        seen: dict[str, list[list[Any]]] = {}
        for teacher, detector in self._taught:
            (found,) = detector.detect([np.asarray(pixels, np.uint8)], _options(teacher))
            for row, name in enumerate(found.classes):
                seen.setdefault(teacher.classes[name], []).append(_row(found, row))
        return seen


def _part(detector: Detector, teacher: Teacher) -> Detector:
    named = {component.spec.name: component for component in detector.components}
    return Detector([named[name] for name in teacher.components], [teacher.pack])


def _options(teacher: Teacher) -> Options:
    asked = {name: replace(ClassOptions.default(name), threshold=LEAST) for name in teacher.classes}
    return Options(Method.DETECT, asked, tiling=Tiling("auto"))


def _row(found: Detections, row: int) -> list[Any]:
    numbers = [round(float(number), 1) for number in found.boxes[row]]
    if found.corners is not None and np.isfinite(found.corners[row]).all():
        numbers += [round(float(number), 1) for number in found.corners[row].reshape(-1)]
    return [str(found.classes[row]), round(float(found.scores[row]), 3), *numbers]


def read_seen(path: Path) -> dict[str, Seen]:
    """What was seen of a set so far, by file. A line that was being written when a run was stopped is cut off."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        path.write_bytes(whole)
    try:
        entries = [json.loads(line) for line in whole.splitlines()]
        return {str(entry["file"]): dict(entry["seen"]) for entry in entries}
    except (ValueError, KeyError, TypeError) as error:
        raise TeacherInvalid(path, f"is not what a teacher's run wrote ({error})") from error


_faculty: Faculty | None = None
"""Of a worker process."""


def _start(make: Callable[[], Faculty]) -> None:
    global _faculty  # noqa: PLW0603 - networks cannot be sent to a worker, which therefore loads its own
    cv2.setNumThreads(1)
    _faculty = make()


def _look(path: Path) -> dict[str, list[list[Any]]]:
    assert _faculty is not None
    return _faculty.look(path)


class Looking:
    """A run of the teachers over sets. ``seen``: the folder of what they saw; ``make`` loads them in each process."""

    def __init__(self, data: Path, seen: Path, make: Callable[[], Faculty], processes: int) -> None:
        self._data, self._seen, self._make, self._processes = data, seen, make, processes

    def run(self, sets: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, int]]:
        """Look at what was not looked at, given the files of each set; after each: the set, and how many are left.

        Raises SetInvalid for a picture that cannot be read.
        """
        self._seen.mkdir(parents=True, exist_ok=True)
        todo = {name: self._unseen(name, files) for name, files in sets.items()}
        paths = [self._data / name / IMAGES / file for name, files in todo.items() for file in files]
        looked = self._looked(paths)
        for name, files in todo.items():
            for done, file in enumerate(files, 1):
                line = {"file": file, "seen": _next(looked, name)}
                with (self._seen / f"{name}.jsonl").open("a") as stream:
                    stream.write(json.dumps(line, separators=(",", ":")) + "\n")
                yield name, len(files) - done

    def _unseen(self, name: str, files: Iterable[str]) -> list[str]:
        before = read_seen(self._seen / f"{name}.jsonl")
        return [file for file in files if file not in before]

    def _looked(self, paths: Sequence[Path]) -> Iterator[dict[str, list[list[Any]]]]:
        """What is seen in each picture, in their order."""
        if not paths:
            return
        if self._processes == 1:
            yield from map(self._make().look, paths)
            return
        with multiprocessing.get_context("spawn").Pool(self._processes, _start, (self._make,)) as pool:
            yield from pool.imap(_look, paths, chunksize=2)


def _next(looked: Iterator[dict[str, list[list[Any]]]], name: str) -> dict[str, list[list[Any]]]:
    try:
        return next(looked)
    except OSError as error:
        raise SetInvalid(name, str(error)) from error


def weights(data: Path) -> list[Path]:
    """Where the teachers' packs and weights are looked for, as hack/evaluate does it."""
    return weights_folders((), data)
