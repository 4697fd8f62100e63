"""What holds for the tests of the fleet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("support.fleet.release", "support.playedray", "support.operatorkit")


@pytest.fixture(autouse=True)
def said(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell each step's time as it ends."""
    begun = time.monotonic()
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"  after {time.monotonic() - begun:.0f} s ")
