"""Blocking work in a thread, and a way back from there to the event loop.

A thread cannot be stopped. So work is given a question, "am I still wanted?", that it asks often; and whoever cancels
the call waits until the thread has ended, because only then nothing of it moves any more.

Work that has not asked for long hangs: codecs have threads of their own, and x265 4.x was seen to wait for its own for
ever, about once in some thousand short clips. Nothing but the end of the process helps then.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from velum_pipeline.detections import Detections
from velum_pipeline.errors import Cancelled
from velum_pipeline.options import Options
from velum_serve.batching import Pixels

T = TypeVar("T")

Stopped = Callable[[], bool]
Detect = Callable[[Pixels, Options], Awaitable[Detections]]

POLL_SECONDS = 0.5
"""How often a thread that waits for the event loop looks whether it is still wanted."""


class VideoThreads(ThreadPoolExecutor):
    """Threads for work on videos, which know how long they have not heard of it."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(count, "video")
        self._clock = clock
        self._lock = threading.Lock()
        self._heard: dict[object, float] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[Callable[[], None]]:
        """Work is done inside; it calls what it is given as a sign of life."""
        work = object()

        def heard() -> None:
            with self._lock:
                self._heard[work] = self._clock()

        heard()
        try:
            yield heard
        finally:
            with self._lock:
                del self._heard[work]

    def silence(self) -> float:
        """Seconds since the last sign of life of the work that has been silent for longest; 0 without work."""
        with self._lock:
            return max((self._clock() - each for each in self._heard.values()), default=0.0)


async def in_thread(threads: VideoThreads, work: Callable[[Stopped], T]) -> T:
    """Return what `work` returns. Cancelling the call tells `work` so, and waits for its end."""
    stop = threading.Event()

    def run() -> T:
        if stop.is_set():  # it waited for a thread until nobody wanted it any more
            raise Cancelled("cancelled before it began")
        with threads.listening() as heard:

            def stopped() -> bool:
                heard()
                return stop.is_set()

            return work(stopped)

    future = asyncio.get_running_loop().run_in_executor(threads, run)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()  # looked at, so that asyncio does not report it as forgotten
        raise


async def uninterrupted(work: Awaitable[object]) -> None:
    """Let this come to its end, whoever cancels the call meanwhile; errors are the caller's to see."""
    future, cancelled = asyncio.ensure_future(work), False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        future.exception()  # looked at, so that asyncio does not report it as forgotten
        raise asyncio.CancelledError
    future.result()


def from_thread(detect: Detect, loop: asyncio.AbstractEventLoop, stopped: Stopped) -> "Blocking":
    """Return detection as a thread calls it: pictures join the batches of all others that the replica looks at."""

    async def all_of(pictures: Sequence[Pixels], options: Options) -> list[Detections]:
        return list(await asyncio.gather(*(detect(picture, options) for picture in pictures)))

    def call(pictures: Sequence[Pixels], options: Options) -> list[Detections]:
        future = asyncio.run_coroutine_threadsafe(all_of(pictures, options), loop)
        while True:
            try:
                return future.result(POLL_SECONDS)
            except TimeoutError:
                if future.done():  # the detector's own time-out
                    raise
                if stopped():
                    future.cancel()
                    raise Cancelled("the video is not wanted any more") from None

    return call


Blocking = Callable[[Sequence[Pixels], Options], list[Detections]]
