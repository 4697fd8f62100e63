"""Files between a disk and a store, in bounded memory, their hash taken on the way. For threads of the caller's."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from velum.storage import BlobStore
from velum_serve.errors import Withdrawn

PIECE = 1 << 20


@dataclass(frozen=True)
class Digest:
    """What a file holds: bytes, and their SHA-256 in hex."""

    size: int
    sha256: str


def upload(store: BlobStore, key: str, path: Path, wanted: Callable[[], bool]) -> Digest:
    """Write a file to a store; nothing is there until all of it is. `wanted` is asked for every piece.

    Raises:
        Withdrawn: it is not wanted any more; nothing was written.
        Unavailable, InvalidInput: the store refused it.
    """
    digest, size = hashlib.sha256(), 0
    target: Any = store.translated(key, lambda: store.open_writer(key))
    with path.open("rb") as source:
        while piece := source.read(PIECE):
            _require(wanted, key)
            digest.update(piece)
            size += len(piece)
            store.translated(key, lambda piece=piece: target.write(piece))  # type: ignore[misc]
    _require(wanted, key)  # an unclosed writer leaves nothing behind
    store.translated(key, target.close)
    store.finish(key)
    return Digest(size, digest.hexdigest())


def download(store: BlobStore, key: str, path: Path, stopped: Callable[[], bool]) -> Digest:
    """Write a blob to a file; return what it held. Raises Withdrawn, NotFound, Unavailable, OSError."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as target:
        for piece in store.chunks_now(key):
            _require(lambda: not stopped(), key)
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    return Digest(size, digest.hexdigest())


def _require(wanted: Callable[[], bool], key: str) -> None:
    if not wanted():
        raise Withdrawn(f"{key} was not copied: the attempt was cancelled")
