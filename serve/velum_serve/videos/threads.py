"""Blocking work in a thread, and a way back from there to the event loop.

A thread cannot be stopped. So work is given a question, "am I still wanted?", that it asks often; and whoever cancels
the call waits until the thread has ended, because only then nothing of it moves any more.
"""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
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


async def in_thread(threads: Executor, work: Callable[[Stopped], T]) -> T:
    """Return what `work` returns. Cancelling the call tells `work` so, and waits for its end."""
    stop = threading.Event()

    def run() -> T:
        if stop.is_set():  # it waited for a thread until nobody wanted it any more
            raise Cancelled("cancelled before it began")
        return work(stop.is_set)

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
