"""Daemons, and the certainty that a process is still the one that was started.

A pid alone is not an identity: it is reused. The kernel's start time of the process (field 22 of /proc/PID/stat, clock
ticks since boot) is recorded beside it, and every signal is preceded by that comparison. A zombie counts as gone: in a
container whose first process does not reap orphans, it would otherwise "live" for ever. But only once its last thread
is gone: the first thread of a killed Go program is a zombie while others still hold its port and its files.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02  # how often an ending process is looked at; ends take tens of milliseconds


_ENDING = (signal.SIGINT, signal.SIGTERM)


def _hear_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


@dataclass(frozen=True)
class Process:
    """One process of this machine's present boot: `pid`, and `started` in clock ticks since boot."""

    pid: int
    started: int

    def is_running(self) -> bool:
        """Whether exactly this process, not a later one with its pid, still runs."""
        return _start_ticks(self.pid) == self.started


def spawn(argv: Sequence[str], folder: Path, log: Path) -> Process:
    """Start a daemon in its own session, working in `folder`, both outputs appended to `log`.

    The new session keeps a Ctrl-C in the caller's terminal away from it. Raises OSError if the program cannot start.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_hear_signals,  # noqa: PLW1509 - this program has one thread
        )
    # An unreaped child keeps its /proc entry even if it has ended already, so the start time is always there.
    started = _start_ticks(child.pid, zombies=True)
    return Process(child.pid, started if started is not None else -1)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; then they act.

    A child inherits the mask, so `spawn` clears it there.
    """
    old = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def stop(process: Process, grace_s: float) -> bool:
    """End it with SIGTERM, after `grace_s` seconds with SIGKILL; True if it went by itself, at once if not running."""
    for sign, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        if not process.is_running():
            return True
        try:
            os.kill(process.pid, sign)
        except ProcessLookupError:
            return True
        if _ended_within(process, patience):
            return sign == signal.SIGTERM
    return False


def _ended_within(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.is_running():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _start_ticks(pid: int, *, zombies: bool = False) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold anything, so count from the last one.
    state, *rest = stat.rpartition(")")[2].split()
    threads, started = int(rest[16]), int(rest[18])  # fields 20 and 22 of proc(5); `rest` starts at field 4
    if state in "ZX" and threads <= 1 and not zombies:
        return None
    return started
