"""Working ahead: an iterable's items made in a thread of their own, a few before they are asked for.

Decoding, detection and encoding each release the GIL for most of their time, so three stages that are chained this way
keep several cores busy with one thread each and no callback.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.2
"""How often a thread that waits for room looks whether it is still wanted."""


class _End:
    """What comes after the last item: nothing, or the error that ended the items."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Ahead(Generic[T]):
    def __init__(self, items: Generator[T, None, None], size: int, name: str) -> None:
        self._items = items
        self._queue: queue.Queue[T | _End] = queue.Queue(size)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """Stop making items, and wait until the thread has closed the generator."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # raised again where the items are used
            end = _End(error)
        finally:
            self._items.close()
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False


@contextmanager
def ahead(items: Generator[T, None, None], size: int, name: str) -> Iterator[Iterator[T]]:
    """Give the generator's items, up to ``size`` of them made in advance by a thread of this name.

    An error of the generator is raised where the item would have come. Leaving the block, also early, closes the
    generator and ends the thread.
    """
    worker = _Ahead(items, size, name)
    try:
        yield iter(worker)
    finally:
        worker.close()
