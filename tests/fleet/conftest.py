"""What holds for the tests of the fleet."""

from support.steptimes import said

__all__ = ["said"]
