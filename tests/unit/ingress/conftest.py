"""A running server for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.workshop import Shop, open_shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path) as found:
        yield found


@pytest.fixture
async def idle_shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """A server whose tasks nobody works on."""
    async with open_shop(tmp_path, working=False) as found:
        yield found
