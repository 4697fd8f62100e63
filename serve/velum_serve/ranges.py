"""A blob as a file that can be read from anywhere, in bounded memory: what a demuxer needs of a video of any length.

Blocks are fetched whole and a few are kept, because demuxers read in small pieces and go back a little. Where reading
goes on from block to block, the next one is fetched in advance, so that a remote store's latency is not waited for.

A demuxer takes a failed read for the end of the file, and a decoder for a broken packet: frames would be missing from
a result, or a video called broken, because a store was away for a moment. So what is made of a blob, and what is said
of it, is believed only if all reads went well: `trusted`, `check`.
"""

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import BinaryIO

from velum.errors import VelumError
from velum.storage import BlobStore
from velum_pipeline.errors import Cancelled

BLOCK = 2 << 20
"""Bytes of one request: 20 ms of a gigabit line, several times the latency of an object store next door."""

KEPT = 4
"""Blocks that one reader holds: where it reads, what comes next, and two places that a demuxer goes back to (audio and
video of a badly interleaved file lie megabytes apart)."""

BUFFER = 1 << 16


class Ranges:
    """One blob of known size, to be opened any number of times. Thread-safe; its readers are for one thread each."""

    def __init__(self, store: BlobStore, key: str, size: int, ahead: Executor, block: int = BLOCK) -> None:
        self.size = size
        self.block = block
        self._store = store
        self._key = key
        self._ahead = ahead
        self._failed: VelumError | None = None

    def open(self) -> BinaryIO:
        """Return a fresh reader at the blob's beginning."""
        return io.BufferedReader(_Reader(self, _never), BUFFER)

    def opener(self, stopped: Callable[[], bool]) -> Callable[[], BinaryIO]:
        """Return `open` for work that is to end soon after it is not wanted any more: its reads then raise Cancelled.

        A demuxer asks nobody whether to go on, and may have gigabytes before it.
        """
        return lambda: io.BufferedReader(_Reader(self, stopped), BUFFER)

    def check(self) -> None:
        """Raise NotFound or Unavailable when a read of any reader has failed so far."""
        if self._failed is not None:
            raise self._failed

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Raise NotFound or Unavailable instead of whatever the block raised, or did not, when a read has failed."""
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()

    def fetch(self, number: int) -> bytes:
        """Return a block. Raises what the store raises, and remembers it."""
        start = number * self.block
        try:
            return self._store.range_now(self._key, start, min(start + self.block, self.size))
        except VelumError as error:
            self._failed = error
            raise

    def fetch_ahead(self, number: int) -> "Future[bytes]":
        """Begin to fetch a block."""
        return self._ahead.submit(self.fetch, number)


def _never() -> bool:
    return False


class _Reader(io.RawIOBase):
    def __init__(self, ranges: Ranges, stopped: Callable[[], bool]) -> None:
        self._ranges = ranges
        self._stopped = stopped
        self._at = 0
        self._last = -1
        self._blocks: OrderedDict[int, bytes | Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ranges.size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        with self._lock:
            if self._at >= self._ranges.size:
                return 0
            number, offset = divmod(self._at, self._ranges.block)
            piece = memoryview(self._block(number))[offset : offset + len(buffer)]
            buffer[: len(piece)] = piece
            self._at += len(piece)
            return len(piece)

    def _block(self, number: int) -> bytes:
        if self._stopped():
            raise Cancelled("the video is not wanted any more")
        known = self._blocks.pop(number, None)
        data = known.result() if isinstance(known, Future) else known or self._ranges.fetch(number)
        self._blocks[number] = data
        follows = number == self._last + 1 and (number + 1) * self._ranges.block < self._ranges.size
        if follows and number + 1 not in self._blocks:
            self._blocks[number + 1] = self._ranges.fetch_ahead(number + 1)
        self._last = number
        while len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        return data
