"""What holds for all tests."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("support.storeport")

# A machine that does much else at the same time makes examples slow, not wrong; speed is measured in hack/bench.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
