"""The store port on SQLite: two stores on one file, as two processes have them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.storeport import StorePort
from velum.clock import SystemClock
from velum.tasks.sqlite import SqliteStore
from velum.tasks.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteStore(tmp_path / "tasks.db", SystemClock()) as store:
        yield store


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Store]:
    async with SqliteStore(tmp_path / "tasks.db", SystemClock()) as store:
        yield store


class TestSqliteStore(StorePort):
    pass
