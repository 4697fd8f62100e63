"""Fixtures: a real SQLite store and a real folder for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.operatorkit import Counting, settings
from support.samples import ManualClock
from velum.settings import Settings
from velum.tasks.sqlite import SqliteStore


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Counting]:
    async with SqliteStore(tmp_path / "velum.db", clock) as real:
        yield Counting(real)
