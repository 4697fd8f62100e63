"""What the ingress refuses, as one tree under the kernel's. No status codes: `problems` has the one table that maps.

VelumError
└── IngressError
    ├── MediaRefused(reason)      the upload's own bytes show that it cannot be worked on
    ├── UploadTooLarge(limit)     counted while streaming
    ├── QueueFull(count, limit)   too many unfinished tasks; later may help
    ├── NotReady(name, state)     the task has not ended yet
    ├── NoSuchResult(name)        the task ended, but made no such file
    ├── ResultMissing(task)       it made the file, nobody deleted it, and storage does not have it
    └── TaskFailed(task)          the task ended without a result
        └── SubmissionFailed      the same, told to the client that waited for it

A value that cannot be accepted is the kernel's InvalidInput; `field` is the parameter's or part's name.
"""

from velum.api import AnonymizationTask, Reason, condition
from velum.api.conditions import FAILED
from velum.errors import VelumError


class IngressError(VelumError):
    """Base of the ingress's own errors."""


class MediaRefused(IngressError):
    """The upload cannot be worked on; `reason` says why in one word of the API."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UploadTooLarge(IngressError):
    """More bytes than the server takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the upload is larger than the server's limit of {limit} bytes")
        self.limit = limit


class QueueFull(IngressError):
    """More unfinished tasks than the server keeps."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"the queue is full: {count} tasks of at most {limit} have not ended; try again later")
        self.count = count
        self.limit = limit


class NotReady(IngressError):
    """A result was asked for before the task ended."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"task {name} is {state}; its results are there when it is done")
        self.state = state


class NoSuchResult(IngressError):
    """The task has no such file, and never will."""


class ResultMissing(IngressError):
    """Storage lost a file, or is another one than it was."""

    def __init__(self, name: str, role: str) -> None:
        super().__init__(f"the {role} of task {name} is missing in storage although nobody deleted it")
        self.task = name


class TaskFailed(IngressError):
    """The task ended without a result."""

    def __init__(self, task: AnonymizationTask) -> None:
        found = condition(task.status.conditions, FAILED)
        self.task = task.name
        self.reason = found.reason if found is not None else task.status.reason
        super().__init__(f"task {task.name} failed: {task.status.message or self.reason}")


class SubmissionFailed(TaskFailed):
    """The task that a synchronous request waited for ended without a result."""
