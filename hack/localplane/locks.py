"""One at a time: an advisory lock on a folder itself.

Locking the folder instead of a file in it leaves nothing behind, and lets `down` remove the folder while others wait:
a waiter that wakes up with a folder that is gone or replaced tries again, so nobody works in a removed folder.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the exclusive lock of `folder`, which is made (mode 0700) if missing.

    `on_wait` is called once if somebody else holds it, so that a long wait is not a silent one.
    """
    descriptor = _acquire(folder, on_wait)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(folder: Path, on_wait: Callable[[], None] | None) -> int:
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # removed between the two calls
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait:
                on_wait()
                on_wait = None
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                return descriptor
        os.close(descriptor)
