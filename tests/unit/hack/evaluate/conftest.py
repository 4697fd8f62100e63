"""Sets and packs of the test's own, and no others in reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from support.labelled import bright_network, write_pack, write_set


@pytest.fixture(scope="session")
def network() -> bytes:
    return bright_network()


@pytest.fixture
def make_pack(tmp_path: Path, network: bytes) -> Callable[..., Path]:
    """make_pack("bright", weights=True): PACKS/bright with its manifest and weights."""
    return lambda name="bright", **fields: write_pack(tmp_path / "packs" / name, network, name, **fields)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where sets are made."""
    return tmp_path / "data"


@pytest.fixture
def make_set(data: Path) -> Callable[..., Path]:
    """make_set("a/b", [(cells, objects), ...]): DATA/a/b, see support.labelled."""
    return lambda name, pictures, **fields: write_set(data / name, pictures, **fields)


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No weights or sets but those that a test makes; OpenCV's threads as they were."""
    monkeypatch.setenv("VELUM_SHARED", str(tmp_path / "shared"))
    monkeypatch.setenv("VELUM_CACHE", str(tmp_path / "cache"))
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)
