"""How far a video is, told in moderation."""

import time
from collections.abc import Callable

from velum.tasks.order import Progress

Told = Callable[[Progress], None]

SHORTEST_SECONDS = 1.0
"""Between two words: nobody reads faster."""

LONGEST_SECONDS = 10.0
"""After this long a word is due even if no percent was done: it says that the work goes on, and when it will end."""


class Meter:
    """Counts the frames that are done, whoever does them, and tells of them.

    media_type: the source's. of: frames of the video. done: those that an earlier attempt had finished. The count never
    falls: frames that were lost with a process are counted once, when they were first done.
    """

    def __init__(
        self, media_type: str, of: int, done: int, told: Told, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._media_type = media_type
        self._of = of
        self._finished = self._before = done
        self._running: dict[object, int] = {}
        self._most = done
        self._told = told
        self._clock = clock
        self._started = self._last = clock()
        self._percent = -1
        self._tell(self._started)

    def at(self, run: object, frames: int) -> None:
        """So many frames of a run are done."""
        self._running[run] = frames
        self._look()

    def end(self, run: object, frames: int) -> None:
        """A run has ended; so many of its frames are finished for good."""
        self._running.pop(run, None)
        self._finished += frames
        self._look()

    def _look(self) -> None:
        self._most = min(self._of, max(self._most, self._finished + sum(self._running.values())))
        now = self._clock()
        passed = now - self._last
        if passed >= LONGEST_SECONDS or (passed >= SHORTEST_SECONDS and self._now(now).percent != self._percent):
            self._tell(now)

    def _tell(self, now: float) -> None:
        word = self._now(now)
        self._last, self._percent = now, word.percent
        self._told(word)

    def _now(self, now: float) -> Progress:
        done, seconds = self._most - self._before, now - self._started
        left = (self._of - self._most) * seconds / done if done > 0 else None
        return Progress(self._most, self._of, left, self._before, self._media_type)
