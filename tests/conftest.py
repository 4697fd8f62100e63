"""What holds for all tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("support")

# A machine that does much else at the same time makes examples slow, not wrong; speed is measured in hack/bench.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

MAIN_THREAD = os.getpid()
PRIORITIES = hasattr(os, "sched_getscheduler")


@pytest.fixture(autouse=True)
def _ordinary_priority() -> Iterator[None]:
    """Hold every test to leave the main thread as it was: what later tests start, a whole Ray, would inherit it."""
    yield
    if PRIORITIES and os.sched_getscheduler(MAIN_THREAD) != os.SCHED_OTHER:
        os.sched_setscheduler(MAIN_THREAD, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail("the test left a real-time priority behind: open encoders within ordinary_scheduling()")
