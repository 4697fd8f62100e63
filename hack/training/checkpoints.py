"""Checkpoints: what a training keeps in a file, and what is said of a file that is none."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Protocol

import torch

from training.errors import CheckpointInvalid

LONGEST = 160
"""Characters of what torch says that are passed on."""


class Owner(Protocol):
    """Of a state: a module or an optimiser."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Take a state."""


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Keep a state, all of it or none: a training that is broken off in here has its last checkpoint still."""
    partial = path.with_name(path.name + ".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


def read(path: Path, parts: Set[str], problem: str) -> dict[str, Any]:
    """What a training kept, with these parts in it. Raises CheckpointInvalid that begins with ``problem``."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what pickle, zip and itself raise
        raise CheckpointInvalid(path, f"{problem}: {shortened(error)}") from error
    if not isinstance(state, dict):
        raise CheckpointInvalid(path, f"{problem}: it is no checkpoint")
    if missing := parts - state.keys():
        raise CheckpointInvalid(path, f"{problem}: it lacks {', '.join(sorted(missing))}")
    return state


def give(owner: Owner, state: Any, path: Path, problem: str) -> None:
    """Give a module or an optimiser its part of a checkpoint. Raises CheckpointInvalid when it is another's."""
    try:
        owner.load_state_dict(state)
    except Exception as error:  # torch raises what it comes upon
        raise CheckpointInvalid(path, f"{problem}: {shortened(error)}") from error


def shortened(error: Exception) -> str:
    """What torch says on many lines, as the beginning of one."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= LONGEST else said[:LONGEST] + "…"
