"""The operator's own errors.

OperatorError
├── ServingRefused    Ray Serve does not take the config as it is: retrying the same one is of no use
├── CrdsMissing       the cluster does not know our resources
└── LeadershipLost    another operator holds the lease: stop at once
"""

from velum.errors import VelumError


class OperatorError(VelumError):
    """Base of the operator's errors."""


class ServingRefused(OperatorError):
    """Ray Serve refused the config; the message is its own."""


class CrdsMissing(OperatorError):
    """The API server serves none of our resources."""


class LeadershipLost(OperatorError):
    """Another operator holds the lease."""
