"""Where the weights and the labelled sets are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    if "VELUM_SHARED" not in os.environ:
        pytest.skip("VELUM_SHARED names no folder with data/models and data/eval")
    return Path(os.environ["VELUM_SHARED"]) / "data"
