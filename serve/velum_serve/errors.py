"""Everything this package can raise on purpose, as one branch of the kernel's tree.

ServeError (a VelumError, so that a command line shows its text instead of a traceback)
├── ArgumentInvalid(field)   the serving config gives a replica something it cannot start with
├── SourceFailed(reason)     a work order's source cannot be read; `reason` is the API's word for it
├── RunRefused(reason)       another replica found that a part of a video can never be done
├── NotServed                a work order asks for a class that the model does not find
├── StageBroke(stage)        a stage failed in a way that nobody foresaw; says which, never what it held
├── Withdrawn                the attempt was cancelled while one of its threads still wanted to write
├── DetectorBroken           detection failed so often in a row that the replica should be replaced
├── WorkStuck                nothing is heard of the work on a video: the replica should be replaced
└── HeadFailed               the private Ray did not start or did not stay; carries the end of its log
"""

from velum.api.reasons import Reason
from velum.errors import VelumError


class ServeError(VelumError):
    """Base of every error this package raises."""


class ArgumentInvalid(ServeError):
    """An argument of the application is missing or wrong; `field` names it as the serving config spells it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class SourceFailed(ServeError):
    """The picture could not be got. The message names the key or URL."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RunRefused(ServeError):
    """Another replica found that a run of segments can never be done; `reason` is the API's word for why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotServed(ServeError):
    """A work order asks for a class that the model does not serve."""


class StageBroke(ServeError):
    """A stage raised something unforeseen.

    Only the kind of the error is told: the text of a stranger's exception may quote what it choked on, and that is
    somebody's picture.
    """

    def __init__(self, stage: str, error: BaseException) -> None:
        super().__init__(f"{stage} failed unexpectedly ({type(error).__name__}); the replica's log has the details")
        self.stage = stage


class Withdrawn(ServeError):
    """The attempt was cancelled: nothing more may be written for it."""


class DetectorBroken(ServeError):
    """The detectors of this replica no longer work."""


class WorkStuck(ServeError):
    """A thread of this replica hangs, and only the end of the process ends it."""


class HeadFailed(ServeError):
    """The private Ray is not running. The message ends with the last lines of its log."""
