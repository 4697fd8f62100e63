"""The operator's own errors.

OperatorError
├── ServingRefused    Ray Serve does not take the config as it is: retrying the same one is of no use
└── LeadershipLost    another operator holds the lease: stop at once
"""

from velum.errors import VelumError


class OperatorError(VelumError):
    """Base of the operator's errors."""


class ServingRefused(OperatorError):
    """Ray Serve refused the config; the message is its own."""


class LeadershipLost(OperatorError):
    """Another operator holds the lease."""
