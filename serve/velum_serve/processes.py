"""Ending whole process sessions: what `setsid` started, its children, and whatever they left behind.

Ray's head is a dozen processes that start each other. They all stay in the session of the first one, even when their
parents die, so the session is what is ended: no list of children that could miss one, no names that could hit a
neighbour's. A session's number is its leader's process id and cannot be given to another process while a member lives.
"""

import os
import signal
import time
from pathlib import Path

PROC = Path("/proc")
POLL_SECONDS = 0.02


def session_members(session: int) -> list[int]:
    """Return the process ids of a session, zombies left out. Empty where there is no /proc."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            # man 5 proc: pid (comm) state ppid pgrp session …; comm may hold anything, so it is cut at its last bracket
            state, _, _, member_of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue  # ended while we looked
        if int(member_of) == session and state not in {"Z", "X"}:
            found.append(int(entry.name))
    return found


def kill_session(session: int, timeout_seconds: float) -> list[int]:
    """Kill every process of a session but this one, and return those that are still there after the time.

    Where there is no /proc (not Linux) the process group of the same number is killed, which is the same as long as no
    member has made a group of its own.
    """
    deadline = time.monotonic() + timeout_seconds
    if not PROC.is_dir():
        _kill_group(session)
        return []
    while True:
        members = [each for each in session_members(session) if each != os.getpid()]
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
