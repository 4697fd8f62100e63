"""Threads as they were scheduled before an encoder opened.

SVT-AV1, run by root, gives the thread that opens it, and all of its own, the highest real-time priority there is
(pthread_setschedparam in svt_av1_enc_init_handle). They would starve everything else on the machine, and what the
opening thread starts later would inherit it: a whole Ray, for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
"""A folder for every thread of this process; there is none on systems other than Linux, nor is there the problem."""


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Take away real-time priority that threads of this process got inside the block."""
    before = _real_time()
    try:
        yield
    finally:
        for thread in _real_time() - before:
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time() -> set[int]:
    threads = [int(entry.name) for entry in TASKS.iterdir()] if TASKS.is_dir() else []
    found = set()
    for thread in threads:
        with suppress(ProcessLookupError):
            if os.sched_getscheduler(thread) in {os.SCHED_FIFO, os.SCHED_RR}:
                found.add(thread)
    return found
