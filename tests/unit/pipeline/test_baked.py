"""Compiled loops that come with an image are loaded under a root that is read only; what lacks is compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import sys
from velum_pipeline.compiled import compiled

@compiled
def doubled(number):
    return number * 2

@compiled
def tripled(number):
    return number * 3

for each in sys.argv[1:]:
    assert doubled(eval(each)) == 2 * eval(each)
stats = doubled.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module in a folder of its own in which nothing may be written."""
    folder = tmp_path / "code"
    folder.mkdir()
    file = folder / "loops.py"
    file.write_text(MODULE)
    return file


def run(module: Path, *numbers: str, baked: Path, cache: Path | None, locator: bool = True) -> tuple[int, int]:
    """Hits and misses of numba's cache for these calls. cache: the user's; None: one that cannot be written."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(baked),
        "NUMBA_CPU_NAME": "generic",
        "XDG_CACHE_HOME": str(cache) if cache else "/proc/none",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if locator:
        environment["NUMBA_CACHE_LOCATOR_CLASSES"] = "velum_pipeline.baked.BakedCacheLocator"
    argv = [sys.executable, "-W", "error", str(module), *numbers]
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=120)
    hits, misses = ended.stdout.split()
    return int(hits), int(misses)


def files(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_what_was_baked_is_loaded_and_stays_as_it_is(module: Path, tmp_path: Path) -> None:
    baked, home = tmp_path / "baked", tmp_path / "home"
    assert run(module, "7", baked=baked, cache=home, locator=False) == (0, 1)
    before = files(baked)
    assert before
    assert run(module, "8", baked=baked, cache=home) == (1, 0)
    assert run(module, "8", "1.5", baked=baked, cache=home) == (1, 1)  # of another type: compiled, and kept
    assert run(module, "8", "1.5", baked=baked, cache=home) == (2, 0)
    assert files(baked) == before


def test_where_nothing_can_be_written_each_process_compiles(module: Path, tmp_path: Path) -> None:
    baked = tmp_path / "baked"
    run(module, "7", baked=baked, cache=tmp_path, locator=False)
    for _ in range(2):
        assert run(module, "7", baked=baked, cache=None) == (0, 1)


def test_code_that_changed_since_is_compiled_anew(module: Path, tmp_path: Path) -> None:
    baked, home = tmp_path / "baked", tmp_path / "home"
    run(module, "7", baked=baked, cache=home, locator=False)
    module.write_text(MODULE.replace("number * 3", "number * 4"))
    assert run(module, "7", baked=baked, cache=home) == (0, 1)


def test_an_image_without_baked_loops_keeps_its_own(module: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert run(module, "7", baked=tmp_path / "none", cache=home) == (0, 1)
    assert run(module, "7", baked=tmp_path / "none", cache=home) == (1, 0)
