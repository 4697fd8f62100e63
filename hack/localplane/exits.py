"""How a command ends: what went wrong is one line instead of a traceback, and each kind of end has its exit status."""

import signal
from collections.abc import Callable
from types import FrameType

from .errors import LocalPlaneError, ToolsMissing

EXIT_FAILED, EXIT_TOOLS_MISSING = 1, 3


def ended(door: str, command: Callable[[], int], say: Callable[[str], None]) -> int:
    """Run a command; its exit status.

    Args:
        door: the name under which it was called, such as `hack/cluster`.
        command: what to run. SIGTERM interrupts it as Ctrl-C does, so that what was half started is ended.
        say: takes the line that tells what went wrong.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command()
    except ToolsMissing as error:
        say(f"{door}: {error}")
        return EXIT_TOOLS_MISSING
    except (LocalPlaneError, OSError) as error:
        say(f"{door}: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        say(f"{door}: interrupted")
        return 128 + signal.SIGINT


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
