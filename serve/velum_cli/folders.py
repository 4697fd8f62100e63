"""Where `velum up` keeps its things: one data folder, one cache for weights, and one process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from velum.errors import InvalidInput
from velum.storage.blobs import PRIVATE


def cache_folder() -> Path:
    """Return where fetched weights are kept: VELUM_CACHE, or velum in the user's cache folder."""
    named = os.environ.get("VELUM_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velum"


@dataclass(frozen=True)
class DataFolder:
    """The data folder of one `velum up`."""

    path: Path

    @property
    def database(self) -> Path:
        """The task database."""
        return self.path / "velum.db"

    @property
    def ray(self) -> Path:
        """State and logs of the local Ray."""
        return self.path / "ray"

    @property
    def inputs(self) -> Path:
        """Uploads and sources, unless --input names another folder."""
        return self.path / "input"

    @property
    def outputs(self) -> Path:
        """Results, unless --output names another folder."""
        return self.path / "output"

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Hold the folder for this process, and give it.

        Raises:
            InvalidInput: another process holds it, or it cannot be written to.
        """
        try:
            self.path.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidInput("--data", f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise InvalidInput("--data", f"{self.path} is in use by another velum; give this one a folder") from error
        try:
            yield self
        finally:
            os.close(handle)
