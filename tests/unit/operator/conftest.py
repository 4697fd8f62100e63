"""Fixtures: a real SQLite store and a real folder for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("support.operatorkit")

from support.operatorkit import Counting, settings  # noqa: E402
from support.samples import ManualClock  # noqa: E402
from velum.settings import Settings  # noqa: E402
from velum.tasks.sqlite import SqliteStore  # noqa: E402


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
