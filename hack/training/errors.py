"""What can go wrong because of what the user gave. Each message is one line for the terminal.

TrainingError
├── StepMissing      a step is not there; names its module
├── DataMissing      there is no folder of sets
├── SetInvalid       a set cannot be used; names the set and the file
└── FileInvalid      a file cannot be used; names it
    ├── LabelsInvalid      labels.jsonl; names the line
    ├── TeacherInvalid     what a teacher saw, as it was kept
    ├── WeightsInvalid     weights that are not the network that they should be
    ├── CheckpointInvalid  a training that cannot be gone on with, or exported
    └── RowsInvalid        what was measured
"""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    """Base of what the user can mend."""


class StepMissing(TrainingError):
    """A step of the command line has no module."""

    def __init__(self, step: str, module: str) -> None:
        super().__init__(f"{step}: this checkout has no {module}")


class DataMissing(TrainingError):
    """Nobody said where the pictures are, or they are not there."""


class SetInvalid(TrainingError):
    """A set of pictures cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"set {name}: {problem}")


class FileInvalid(TrainingError):
    """A file cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class LabelsInvalid(FileInvalid):
    """The file of labels cannot be used."""


class TeacherInvalid(FileInvalid):
    """What a teacher saw cannot be read again."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, f"{problem}; delete the file to look again")


class WeightsInvalid(FileInvalid):
    """A file of weights is not the network that it should be."""


class CheckpointInvalid(FileInvalid):
    """A checkpoint cannot be gone on with."""


class RowsInvalid(FileInvalid):
    """What was measured cannot be used."""
