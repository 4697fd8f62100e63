"""The made clips, each written once per session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.videos import made


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The file of a clip, by its name in the table."""
    folder = tmp_path_factory.mktemp("videos")
    return lambda name: made(name, folder)
