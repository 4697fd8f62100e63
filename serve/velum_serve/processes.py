"""Ending whole process sessions: what `setsid` started, its children, and whatever they left behind.

Ray's head is a dozen processes that start each other. They all stay in the session of the first one, even when their
parents die, so the session is what is ended: no list of children that could miss one, no names that could hit a
neighbour's. A session's number is its leader's process id and cannot be given to another process while a member lives.

In a container, process 1 is often a program that does not bury the dead of others. So the session's leader adopts
orphans (a Linux "child subreaper") and buries them itself before it goes.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PROC = Path("/proc")
POLL_SECONDS = 0.02
PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends. Does nothing where there is no such thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury_children() -> None:
    """Collect the exit status of every child that has ended. Only for a process that waits for no child by itself."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def session_members(session: int, *, dead: bool = False) -> list[int]:
    """Return the process ids of a session, with `dead` those that nobody has buried yet too.

    Empty where there is no /proc.
    """
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            # man 5 proc: pid (comm) state ppid pgrp session …; comm may hold anything, so it is cut at its last bracket
            state, _, _, member_of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # ended while we looked
        if int(member_of) == session and (dead or state not in {"Z", "X"}):
            found.append(int(entry.name))
    return found


def kill_session(session: int, timeout_seconds: float, *, bury: bool = False) -> list[int]:
    """Kill every process of a session but this one, and return those that are still there after the time.

    bury: this process has adopted the session's orphans; wait until all are buried, too.

    Where there is no /proc (not Linux) the process group of the same number is killed. Ray's workers have groups of
    their own; they end by themselves when their raylet, a member of that group, is gone.
    """
    deadline = time.monotonic() + timeout_seconds
    if not PROC.is_dir():
        _kill_group(session)
        return []
    while True:
        if bury:
            bury_children()
        members = [each for each in session_members(session, dead=bury) if each != os.getpid()]
        if not members or time.monotonic() > deadline:
            return members
        for each in members:
            try:
                os.kill(each, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_SECONDS)  # until the kernel has taken them down; a new child may have slipped in before


def _kill_group(group: int) -> None:
    if group == os.getpgrp():
        return
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
