"""Peers: any command that finds objects, measured beside packs.

The command is run once per set, with the paths of the pictures as its last arguments, and answers on its standard
output with one line of JSON for each picture, in any order:

    {"file": PATH, "detections": [{"cls": "face", "bbox": [x1, y1, x2, y2], "score": 0.9}], "ms": 12.3}

``file`` is the path as it was given, or the picture's name where only one has it. Coordinates are pixels of the picture
as displayed. ``ms``, the time it took without decoding, may be left out. Whatever else the command does, it must answer
for every picture and exit with 0: an answer that is missing would count as nothing found, and be believed.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from evaluation.annotations import Word, class_named
from evaluation.errors import PeerFailed, SubjectInvalid
from evaluation.sets import LabelledPicture, LabelledSet
from evaluation.subjects import Look, Sighting
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ObjectClass, Options

SHOWN = 200
"""Characters of a line that an error repeats."""


class PeerDetection(BaseModel):
    """One object in a peer's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    cls: Word
    bbox: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    score: FiniteFloat


class PeerAnswer(BaseModel):
    """One line of a peer's output."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    file: str
    detections: list[PeerDetection]
    ms: Annotated[FiniteFloat, Field(ge=0)] | None = None


@dataclass(frozen=True)
class Peer:
    """A command. All that it answers counts: its thresholds are its own."""

    name: str
    command: tuple[str, ...]
    classes: frozenset[ObjectClass]

    def over(self, labelled: LabelledSet, options: Options) -> Look:
        """Run the command over the whole set. Raises PeerFailed."""
        answers = self._answers(labelled)

        def look(picture: LabelledPicture, pixels: NDArray[np.uint8]) -> Sighting:
            answer = answers[picture.file]
            found = _detections(answer.detections, options).clipped(pixels.shape[1], pixels.shape[0])
            return Sighting(found, answer.ms)

        return look

    def _answers(self, labelled: LabelledSet) -> dict[str, PeerAnswer]:
        paths = {str(picture.path.absolute()): picture.file for picture in labelled.pictures}
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            lines = self._run(list(paths), said)
        names = Counter(Path(path).name for path in paths)
        files = {Path(path).name: file for path, file in paths.items() if names[Path(path).name] == 1} | paths
        answers: dict[str, PeerAnswer] = {}
        for answer in (self._parsed(line) for line in lines if line.strip()):
            if answer.file not in files:
                raise PeerFailed(self.name, f"answered for {answer.file!r}, which is no picture of {labelled.name}")
            if files[answer.file] in answers:
                raise PeerFailed(self.name, f"answered twice for {answer.file}")
            answers[files[answer.file]] = answer
        if silent := [file for file in paths.values() if file not in answers]:
            raise PeerFailed(
                self.name, f"gave no answer for {len(silent)} of {len(paths)} pictures of {labelled.name}: {silent[0]}"
            )
        return answers

    def _run(self, paths: Iterable[str], said: IO[str]) -> list[str]:
        try:
            done = subprocess.run(
                [*self.command, *paths], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, check=False
            )
        except OSError as error:
            raise PeerFailed(self.name, f"cannot run {self.command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            said.seek(0)
            last = next((line.strip() for line in reversed(said.readlines()) if line.strip()), "it said nothing")
            raise PeerFailed(self.name, f"{shlex.join(self.command)} ended with {done.returncode}: {last[:SHOWN]}")
        return done.stdout.decode("utf-8", errors="replace").splitlines()

    def _parsed(self, line: str) -> PeerAnswer:
        try:
            return PeerAnswer.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            problem = f"{place}: {first['msg']}" if place else first["msg"]
            raise PeerFailed(self.name, f"{problem} in its line {line[:SHOWN]!r}") from error


def parse_peer(given: str) -> Peer:
    """The peer for one ``--peer``: NAME=COMMAND, or NAME:CLASS,CLASS=COMMAND. Raises SubjectInvalid."""
    head, equals, command = given.partition("=")
    name, colon, listed = head.partition(":")
    try:
        words = tuple(shlex.split(command))
        classes = frozenset(class_named(word) for word in listed.split(",")) if colon else frozenset(ObjectClass)
    except ValueError as error:
        raise SubjectInvalid(f"--peer {given!r}: {error}") from error
    if not (name.strip() and equals and words):
        raise SubjectInvalid(f'--peer {given!r}: expected "NAME=COMMAND" or "NAME:CLASS,CLASS=COMMAND"')
    return Peer(name.strip(), words, classes)


def _detections(found: Iterable[PeerDetection], options: Options) -> Detections:
    wanted = [item for item in found if class_named(item.cls) in options.classes]
    return Detections(
        np.array([item.bbox for item in wanted], np.float32).reshape(-1, 4),
        np.array([item.score for item in wanted], np.float32),
        as_classes(class_named(item.cls) for item in wanted),
    )
