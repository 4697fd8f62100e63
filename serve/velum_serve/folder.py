"""An attempt's folder in the output store: filled in parallel, sealed by the manifest, emptied when nothing came of it.

Two promises of the fence (docs/architecture.md) are kept here:

* A cancelled attempt writes nothing more. Writes run in threads, and a thread cannot be stopped; so each looks at the
  same flag, under the same lock, right before it starts. Closing then waits for the writes that were already under way.
* A manifest, once its write has begun, is never taken back. From then on somebody may have seen it and published the
  result; before that nobody can have. So only a folder whose manifest was never begun is emptied.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from velum.errors import VelumError
from velum.storage import BlobStore
from velum_serve.errors import Withdrawn
from velum_serve.files import Digest, upload

logger = logging.getLogger(__name__)


class AttemptFolder:
    """The place of one attempt's files. Use as an async context manager around the whole attempt."""

    def __init__(self, outputs: BlobStore, prefix: str) -> None:
        self._outputs = outputs
        self._prefix = prefix
        self._lock = threading.Lock()
        self._closed = False
        self._begun = False
        self._sealed = False
        self._writes: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> "AttemptFolder":
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Withdraw the attempt when the block ends in an error or is cancelled, before the manifest was begun."""
        if kind is None:
            return
        self.close()
        closing = asyncio.ensure_future(self._settle())
        while not closing.done():
            # A second cancellation must not leave files behind that nobody knows of.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(closing)

    def close(self) -> None:
        """Let no write begin from now on. Safe from any thread."""
        with self._lock:
            self._closed = True

    def key(self, name: str) -> str:
        """Return the key of a file of this attempt."""
        return self._prefix + name

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write files by name, all at once.

        Raises:
            Withdrawn: the attempt was cancelled before a write began.
            Unavailable, InvalidInput: the store refused one; the others have ended, too.
        """
        await self._all([(self.key(name), data, False) for name, data in files.items()])

    def write_file(self, name: str, path: Path, stopped: Callable[[], bool]) -> Digest:
        """Write a file from a disk, in bounded memory, in a thread of the caller's; return what it holds.

        Who cancels the attempt must make `stopped` true and wait for the thread before the block is left: this is no
        write that closing waits for. Raises as `write`.
        """
        key = self.key(name)
        with self._lock:
            self._require_open(key)
            self._begun = True
        return upload(self._outputs, key, path, lambda: not (self._closed or stopped()))

    async def seal(self, name: str, data: bytes) -> None:
        """Write the file that says that all others are complete. Raises as `write`."""
        await self._all([(self.key(name), data, True)])

    async def _all(self, files: list[tuple[str, bytes, bool]]) -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.run_in_executor(None, self._put, *file) for file in files]
        if not futures:
            return
        self._writes.update(futures)
        done, _ = await asyncio.wait(futures)  # unlike gather, leaves the writes alone when it is cancelled
        self._writes -= done
        errors = [error for each in done if (error := each.exception()) is not None]
        if errors:
            raise errors[0]

    def _require_open(self, key: str) -> None:
        if self._closed:
            raise Withdrawn(f"{key} was not written: the attempt was cancelled")

    def _put(self, key: str, data: bytes, sealing: bool) -> None:
        with self._lock:
            self._require_open(key)
            self._begun = True
            self._sealed = self._sealed or sealing
        self._outputs.translated(key, lambda: self._outputs.put_now(key, data))

    async def _settle(self) -> None:
        if self._writes:
            await asyncio.wait(self._writes)
            for each in self._writes:
                each.exception()  # looked at, so that asyncio does not report it as forgotten
        if not self._begun or self._sealed:
            return
        try:
            await self._outputs.remove(self._prefix)
        except VelumError:
            logger.warning("could not empty %s; the janitor will", self._prefix, exc_info=True)
