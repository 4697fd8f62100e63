"""What can be said about a private Ray without starting one; tests/e2e/test_serve.py starts it."""
# ruff: noqa: ASYNC240 -- a test may look at a folder

import fcntl
import tempfile
from pathlib import Path

import pytest

from velum_serve import head
from velum_serve.errors import HeadFailed
from velum_serve.head import LocalRay


def leftover(folder: Path) -> Path:
    """The temporary folder that the last start in this data folder made."""
    path = Path((folder / head.LOCK).read_text())
    assert path.name.startswith(head.PREFIX)
    return path


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Python that says something and ends: what a Ray that cannot start looks like."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ImportError: no module named ray'\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(head.sys, "executable", str(python))
    return tmp_path / "data"


async def test_a_ray_that_does_not_start_shows_its_log_and_leaves_nothing(broken: Path) -> None:
    ray = LocalRay(broken)
    with pytest.raises(HeadFailed, match="no module named ray"):
        await ray.start()
    assert not leftover(broken).exists()
    await ray.stop()


async def test_a_ray_that_never_answers(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(head.sys.executable).write_text("#!/bin/sh\necho thinking\nread never\n")
    monkeypatch.setattr(head, "START_SECONDS", 0.3)
    with pytest.raises(HeadFailed, match=r"did not start within 0 s.*(?s:.)*thinking"):
        await LocalRay(broken).start()
    assert not leftover(broken).exists()


async def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    lock = tmp_path / head.LOCK
    lock.write_text("/tmp/velum-ray-of-the-other")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HeadFailed, match="in use by another Velum"):
            await LocalRay(tmp_path).start()
    assert lock.read_text() == "/tmp/velum-ray-of-the-other"


async def test_what_a_killed_predecessor_left_is_swept(broken: Path) -> None:
    stale = Path(tempfile.mkdtemp(prefix=head.PREFIX))
    (stale / "session").mkdir()
    broken.mkdir()
    (broken / head.LOCK).write_text(str(stale))
    with pytest.raises(HeadFailed):
        await LocalRay(broken).start()
    assert not stale.exists()


@pytest.mark.parametrize("entry", ["/", "", "..", "somebody-elses", "/etc"])
async def test_only_folders_of_ours_are_swept(entry: str, broken: Path, tmp_path: Path) -> None:
    other = tmp_path / "somebody-elses"
    other.mkdir()
    broken.mkdir()
    (broken / head.LOCK).write_text(str(other) if entry == "somebody-elses" else entry)
    with pytest.raises(HeadFailed):
        await LocalRay(broken).start()
    assert other.is_dir()


async def test_not_started(tmp_path: Path) -> None:
    ray = LocalRay(tmp_path)
    with pytest.raises(HeadFailed, match="not running"):
        ray.check()
    with pytest.raises(HeadFailed, match="not running"):
        ray.env  # noqa: B018 -- the property raises
    await ray.stop()


def test_ports_differ() -> None:
    ports = head._free_ports(5)
    assert len(set(ports)) == 5
    assert all(1024 <= port <= 65535 for port in ports)
