"""The version before this one, from the repository's history: its tree, its images, its chart with its dependency.

Which one that is, the chart says: the last commit whose `version` was another.
"""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localplane import kuberaychart
from localplane.binaries import cache_root

from . import images
from .builder import Say

TAG = "earlier"
"""Of its images, so that they lie beside this version's."""

_CHART = "charts/velum"
_FILE = f"{_CHART}/Chart.yaml"


@dataclass(frozen=True)
class Earlier:
    """tree: its files."""

    version: str
    commit: str
    tree: Path

    @property
    def images(self) -> list[images.Image]:
        """Ours, by a tag that keeps them apart from this version's."""
        return [image.tagged(TAG) for image in images.IMAGES]

    def unbuilt(self, environment: Mapping[str, str]) -> list[str]:
        """Names of its images that the cache lacks."""
        return images.unbuilt(environment, self.images, self.tree)

    def build(self, environment: Mapping[str, str], say: Say) -> dict[str, Path]:
        """Its images, as `images.build` gives them, and its chart ready to be installed from the tree."""
        kuberaychart.package(self.tree / _CHART / "charts", environment)
        return images.build(environment, say, self.images, self.tree)


def found(environment: Mapping[str, str], root: Path = images.ROOT) -> Earlier | None:
    """The version before, its tree in the cache; None where the history knows none: a shallow clone, the first one."""
    commit = _commit(root)
    if commit is None:
        return None
    place = cache_root(environment) / "earlier"
    tree = place / commit
    if not tree.is_dir():
        shutil.rmtree(place, ignore_errors=True)  # one version before is enough
        unfinished = place / f"{commit}.part"
        with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", commit))) as packed:
            packed.extractall(unfinished, filter="data")
        unfinished.rename(tree)
    return Earlier(_version((tree / _FILE).read_bytes()), commit, tree)


def _commit(root: Path) -> str | None:
    """The parent of the commit that gave the chart its present version, which may be in none yet."""
    try:
        present = _version((root / _FILE).read_bytes())
        changes = _git(root, "log", "--format=%H", "--", _FILE).decode().split()
        for commit in ("HEAD", *(f"{change}^" for change in changes)):
            if _version(_git(root, "show", f"{commit}:{_FILE}")) != present:
                return _git(root, "rev-parse", commit).decode().strip()
    except (OSError, subprocess.CalledProcessError):  # no git, no history, or its beginning
        pass
    return None


def _version(chart: bytes) -> str:
    stated = re.search(r"^version: *(\S+)", chart.decode(), re.MULTILINE)
    return stated[1] if stated else ""


def _git(root: Path, *words: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, check=True).stdout
