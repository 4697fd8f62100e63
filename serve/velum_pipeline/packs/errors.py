"""What packs can raise, below PipelineError.

    PackError
    ├── ManifestInvalid      a pack.toml does not say what it must; names the file and the field
    ├── PackNotFound         no pack of that name
    ├── WeightsMissing       a weights file is nowhere; names the folders and the command that gets it
    ├── WeightsCorrupt       a weights file is not the one that the manifest describes
    └── FetchFailed          a weights file could not be got; says from where and what to do

ClassNotFound (velum_pipeline.detect) is raised by the registry, too: packs are there, but not for that class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from velum_pipeline.errors import PipelineError

COPY_AGAIN = "they come with the pack: install or copy it again"


class PackError(PipelineError):
    """Base of every error about packs and their weights."""


class ManifestInvalid(PackError):
    """A manifest cannot be used. ``source`` is its file."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source


class PackNotFound(PackError):
    """There is no pack of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no model pack named {name!r}; known packs: {', '.join(sorted(known))}")
        self.name = name


class WeightsMissing(PackError):
    """A weights file is in none of the folders searched. ``fetched``: whether its manifest says where it can be had."""

    def __init__(self, pack: str, file: str, searched: Sequence[Path], *, fetched: bool = True) -> None:
        get = f"`velum models fetch {pack}"
        ways = f"get them with {get}` (behind a firewall: {get} --mirror URL`)"
        if not fetched:
            ways = f"{COPY_AGAIN}, or get them with {get} --mirror URL`"
        where = ", ".join(map(str, searched)) or "any folder"
        super().__init__(f"weights {file} of model pack {pack} not found in {where}; {ways}")
        self.pack = pack
        self.file = file
        self.searched = tuple(searched)


class WeightsCorrupt(PackError):
    """A weights file exists, and its bytes are not the described ones. It is never loaded. ``fetched``: as above."""

    def __init__(self, file: str, expected: str, actual: str, *, fetched: bool = True) -> None:
        way = "delete the file and fetch it again" if fetched else COPY_AGAIN
        super().__init__(f"weights {file}: expected sha256 {expected}, got {actual}; {way}")
        self.file = file
        self.expected = expected
        self.actual = actual


class FetchFailed(PackError):
    """A weights file could not be got."""
