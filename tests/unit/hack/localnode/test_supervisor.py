"""The first process of the cluster's namespaces: what it starts, when, and again. Tried without namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HACK = Path(__file__).resolve().parents[4] / "hack"
_RUN = (
    "import json, sys; from pathlib import Path; from localnode.inside import Supervisor; "
    "folder = Path(sys.argv[1]); Supervisor(folder, json.loads((folder / 'programs.json').read_text())).run()"
)


@contextmanager
def _supervised(folder: Path, *programs: dict[str, object]) -> Iterator[None]:
    (folder / "logs").mkdir()
    (folder / "programs.json").write_text(json.dumps(programs))
    child = subprocess.Popen([sys.executable, "-B", "-c", _RUN, str(folder)], cwd=HACK, stdout=subprocess.DEVNULL)
    try:
        yield
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def _lines(file: Path, count: int) -> list[str]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if file.exists() and len(lines := file.read_text().split()) >= count:
            return lines
        time.sleep(0.02)
    raise AssertionError(f"{file} did not get {count} lines")


def test_a_server_that_ends_is_started_again(tmp_path: Path) -> None:
    server = {"name": "server", "argv": ["sh", "-c", "echo $$; exit 3"], "after": ""}
    with _supervised(tmp_path, server):
        pids = _lines(tmp_path / "logs" / "server.log", 2)
    assert pids[0] != pids[1]


def test_a_server_waits_for_what_it_needs(tmp_path: Path) -> None:
    first = {"name": "first", "argv": ["sh", "-c", "echo x >here; exec sleep 60"], "after": ""}
    second = {"name": "second", "argv": ["sh", "-c", "cat here; exec sleep 60"], "after": str(tmp_path / "here")}
    with _supervised(tmp_path, second, first):
        assert _lines(tmp_path / "logs" / "second.log", 1) == ["x"]


def test_two_that_end_at_once_are_both_started_again(tmp_path: Path) -> None:
    names = ("one", "two")
    servers = [{"name": name, "argv": ["sh", "-c", "echo up"], "after": ""} for name in names]
    with _supervised(tmp_path, *servers):
        for name in names:
            assert set(_lines(tmp_path / "logs" / f"{name}.log", 3)) == {"up"}
