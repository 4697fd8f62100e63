"""SIGINT and SIGTERM as events: the first asks to end, every further one to end at once."""

import asyncio
import signal


class Signals:
    """What this process was told to do."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        """Set by the first signal: take nothing new, and finish."""
        self.now = asyncio.Event()
        """Set by the second one: whoever sends it waits at a terminal."""

    def listen(self) -> None:
        """Take the signals of this process from now on. To be called in its event loop, in the main thread."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self.told)

    def told(self) -> None:
        """Take note of one signal."""
        (self.now if self.end.is_set() else self.end).set()
