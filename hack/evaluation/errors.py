"""What can go wrong because of what the user gave. Each message is one line for the terminal.

EvaluationError
├── SetInvalid       a set cannot be used; names the set and the file
├── SubjectInvalid   a pack or a peer cannot be used as it was given
└── PeerFailed       a peer's command did not answer as the protocol says
"""

from __future__ import annotations


class EvaluationError(Exception):
    """Base of what the user can mend."""


class SetInvalid(EvaluationError):
    """A labelled set cannot be used."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"set {name}: {problem}")


class SubjectInvalid(EvaluationError):
    """What was given as pack or peer is none."""


class PeerFailed(EvaluationError):
    """A peer's command broke the protocol."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"peer {name}: {problem}")
