"""How `hack/controlplane` and `hack/cluster` end. Each in a process of its own, whose signals are not ours."""

import subprocess
import sys
from pathlib import Path

import pytest

HACK = Path(__file__).resolve().parents[3] / "hack"

PROGRAM = """
import os, signal, sys
from localplane.errors import BuildFailed, ToolsMissing
from localplane.exits import ended

def told():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    finally:
        print("what was begun is ended")

def fails(error):
    raise error

sys.exit(ended("hack/it", {command}, lambda line: print(line, file=sys.stderr)))
"""


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("lambda: 0", 0, ""),
        ("lambda: 7", 7, ""),
        ("lambda: fails(ToolsMissing('no Go'))", 3, "hack/it: no Go\n"),
        ("lambda: fails(BuildFailed('it ended badly'))", 1, "hack/it: it ended badly\n"),
        ("lambda: open('/none/at/all')", 1, "hack/it: [Errno 2] No such file or directory: '/none/at/all'\n"),
        ("told", 130, "hack/it: interrupted\n"),
    ],
)
def test_each_end_has_its_status_and_one_line(command: str, status: int, said: str) -> None:
    argv = [sys.executable, "-c", PROGRAM.format(command=command)]
    done = subprocess.run(argv, cwd=HACK, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (status, said)
    assert ("what was begun is ended" in done.stdout) == (command == "told")
