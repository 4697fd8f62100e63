"""What holds for the tests of the fleet."""

import pytest

from support.steptimes import said

__all__ = ["said"]

pytest.register_assert_rewrite("support.fleet.release", "support.playedray", "support.operatorkit")
