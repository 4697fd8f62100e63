"""Tells each step's time as it ends: what takes minutes is followed by its log, and the log is the proof."""

import sys
import time
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def said(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test of a folder whose conftest imports this says when it ended and how long it took."""
    begun = time.monotonic()
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"  {time.strftime('%H:%M:%S')}, after {time.monotonic() - begun:.0f} s ")
