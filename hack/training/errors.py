"""What can go wrong because of what the user gave. Each message is one line for the terminal.

TrainingError
├── StepMissing      a step is not there; names its module
├── DataMissing      there is no folder of sets
├── SetInvalid       a set cannot be used; names the set and the file
├── LabelsInvalid    labels.jsonl cannot be used; names the line
├── TeacherInvalid   what a teacher saw, as it was kept, cannot be used; names the file
├── WeightsInvalid   a file of weights is not the network that it should be
├── CheckpointInvalid a checkpoint cannot be gone on with
└── RowsInvalid      what was measured cannot be used; names the file
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


class LabelsInvalid(TrainingError):
    """The file of labels cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class TeacherInvalid(TrainingError):
    """What a teacher saw cannot be read again."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}; delete the file to look again")


class WeightsInvalid(TrainingError):
    """A file of weights is not the network that it should be."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class CheckpointInvalid(TrainingError):
    """A checkpoint cannot be gone on with."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class RowsInvalid(TrainingError):
    """What was measured cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
