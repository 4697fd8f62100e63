"""Which version is the one before, by a repository's own history."""

import shutil
import subprocess
from pathlib import Path

import pytest

from localnode import earlier

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not here")

AUTHOR = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")


class History:
    """A repository with a chart; every commit has a file `mark` that tells which one it is."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q")

    def git(self, *words: str) -> str:
        ended = subprocess.run(["git", *AUTHOR, *words], cwd=self.root, capture_output=True, check=True, text=True)
        return ended.stdout.strip()

    def commit(self, mark: str, version: str, description: str = "") -> str:
        chart = self.root / "charts" / "velum" / "Chart.yaml"
        chart.parent.mkdir(parents=True, exist_ok=True)
        chart.write_text(f"name: velum\nversion: {version}\nappVersion: 9.9.9\ndescription: {description}\n")
        (self.root / "mark").write_text(mark)
        self.git("add", "--all")
        self.git("commit", "-q", "-m", mark)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def history(tmp_path: Path) -> History:
    root = tmp_path / "repository"
    root.mkdir()
    return History(root)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"VELUM_CACHE": str(tmp_path / "cache")}


def test_it_is_the_last_commit_of_another_version(history: History, environment: dict[str, str]) -> None:
    history.commit("first", "0.1.0")
    history.commit("other", "0.1.0", "changed, and the version is the same")
    last = history.commit("last of it", "0.1.0")
    history.commit("bump", "0.2.0")
    history.commit("after", "0.2.0", "changed again")
    found = earlier.found(environment, history.root)
    assert found
    assert (found.version, found.commit) == ("0.1.0", last)
    assert (found.tree / "mark").read_text() == "last of it"
    assert [image.reference for image in found.images] == [
        f"localhost/velum/{name}:earlier" for name in ("operator", "ingress", "worker")
    ]


def test_a_bump_that_is_not_committed_yet_counts(history: History, environment: dict[str, str]) -> None:
    last = history.commit("last of it", "0.1.0")
    chart = history.root / "charts" / "velum" / "Chart.yaml"
    chart.write_text(chart.read_text().replace("0.1.0", "0.2.0"))
    found = earlier.found(environment, history.root)
    assert found
    assert found.commit == last


def test_one_tree_is_kept(history: History, environment: dict[str, str]) -> None:
    history.commit("a", "0.1.0")
    history.commit("b", "0.2.0")
    first = earlier.found(environment, history.root)
    again = earlier.found(environment, history.root)
    assert first
    assert again == first
    history.commit("c", "0.3.0")
    second = earlier.found(environment, history.root)
    assert second
    assert second.version == "0.2.0"
    assert not first.tree.exists()


def test_without_a_history_there_is_none(history: History, environment: dict[str, str], tmp_path: Path) -> None:
    history.commit("a", "0.1.0")
    history.commit("b", "0.1.0", "same version")
    assert earlier.found(environment, history.root) is None, "the first version"
    history.commit("c", "0.2.0")
    history.commit("d", "0.2.0")
    assert earlier.found(environment, history.root)
    shallow = tmp_path / "shallow"
    history.git("clone", "-q", "--depth=1", f"file://{history.root}", str(shallow))
    assert earlier.found(environment, shallow) is None
    exported = tmp_path / "exported"
    shutil.copytree(history.root, exported, ignore=shutil.ignore_patterns(".git"))
    assert earlier.found(environment, exported) is None
