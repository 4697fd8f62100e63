"""Reading weights that are what the manifest says they are.

Bytes are hashed and handed over in one go: what was verified is what is loaded, whatever happens to the file in
between. For mere questions ("is it here?") a verification is remembered by path, size and modification time.
"""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

from velum_pipeline.packs.errors import WeightsCorrupt
from velum_pipeline.packs.manifest import WeightsFile

Identity = tuple[str, int, int]


class WeightsReader:
    """Verifies weights files. Remembers what it verified; thread-safe."""

    def __init__(self) -> None:
        self._known: dict[Identity, str] = {}
        self._lock = threading.Lock()

    def read(self, path: Path, file: WeightsFile) -> bytes:
        """The verified bytes. Raises WeightsCorrupt, or OSError when the file cannot be read."""
        identity = _identity(path)
        data = path.read_bytes()
        self._check(path, file, identity, hashlib.sha256(data).hexdigest())
        return data

    def verify(self, path: Path, file: WeightsFile) -> None:
        """Raise WeightsCorrupt unless the file is the described one. Hashes it only if it changed since last time."""
        identity = _identity(path)
        with self._lock:
            known = self._known.get(identity)
        if known is None:
            with path.open("rb") as stream:
                known = hashlib.file_digest(stream, "sha256").hexdigest()
        self._check(path, file, identity, known)

    def _check(self, path: Path, file: WeightsFile, identity: Identity, actual: str) -> None:
        with self._lock:
            self._known[identity] = actual
        if actual != file.sha256:
            raise WeightsCorrupt(str(path), file.sha256, actual, fetched=file.has_origin)


def _identity(path: Path) -> Identity:
    state = path.stat()
    return str(path.resolve()), state.st_size, state.st_mtime_ns
