"""What phases mean for counting and listing. The same in both stores."""

from velum.api.status import Phase

UNFINISHED = (Phase.PENDING, Phase.RUNNING, Phase.SUSPENDED)
"""Phases in which a task still waits or runs."""
