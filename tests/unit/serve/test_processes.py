"""Ending sessions: everything in them, nothing beside them. The processes are real."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from velum_serve.processes import kill_session, session_members

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sessions are listed from /proc")

FAMILY = """
import os, subprocess, sys, time
own_group = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
deaf = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, 1); time.sleep(600)"])
orphan = subprocess.Popen([sys.executable, "-c", "import os, time; os.fork() and os._exit(0); time.sleep(600)"])
orphan.wait()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() != b"ready":
        pass
    yield process
    kill_session(process.pid, 5)
    process.wait()
    process.stdout.close()


def test_children_orphans_and_other_groups_are_members(family: subprocess.Popen[bytes]) -> None:
    assert len(session_members(family.pid)) == 4
    assert os.getpid() not in session_members(family.pid)


def test_all_of_it_ends_and_nothing_else(family: subprocess.Popen[bytes]) -> None:
    neighbour = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        assert kill_session(family.pid, 5) == []
        assert family.wait() == -signal.SIGKILL
        assert session_members(family.pid) == []
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


def test_members_outlive_their_leader(family: subprocess.Popen[bytes]) -> None:
    family.kill()
    family.wait()
    assert len(session_members(family.pid)) == 3
    assert kill_session(family.pid, 5) == []
    assert session_members(family.pid) == []


def test_a_session_that_is_gone(family: subprocess.Popen[bytes]) -> None:
    kill_session(family.pid, 5)
    family.wait()
    assert kill_session(family.pid, 0) == []


def test_the_leader_spares_itself_and_buries_the_rest() -> None:
    script = f"""
import os, subprocess, sys
from velum_serve.processes import adopt_orphans, kill_session, session_members
adopt_orphans()
child = subprocess.Popen([sys.executable, "-c", {FAMILY!r}], stdout=subprocess.PIPE)
while child.stdout.readline().strip() != b"ready":
    pass
assert len(session_members(os.getsid(0))) == 5
assert kill_session(os.getsid(0), 5, bury=True) == []
assert session_members(os.getsid(0), dead=True) == [os.getpid()]
print("alone")
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)
    assert done.stdout.strip() == "alone", done.stderr
