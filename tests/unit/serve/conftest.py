"""What attempts of every kind run in."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.serving import storage
from velum.storage import Storage


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def stores(tmp_path: Path) -> Storage:
    return storage(tmp_path)
