"""Work in threads: how long it has not been heard of."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from velum_serve.videos.threads import Stopped, VideoThreads, in_thread

PATIENCE = 20


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Asks whether it is wanted when it is told to, and ends when it is told to."""

    def __init__(self) -> None:
        self.begun, self.may_ask, self.asked, self.may_end = (threading.Event() for _ in range(4))

    def __call__(self, stopped: Stopped) -> str:
        self.begun.set()
        assert self.may_ask.wait(PATIENCE)
        assert not stopped()
        self.asked.set()
        assert self.may_end.wait(PATIENCE)
        return "done"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def threads(clock: Clock) -> Iterator[VideoThreads]:
    with VideoThreads(1, clock) as pool:
        yield pool


async def test_a_question_is_a_sign_of_life(threads: VideoThreads, clock: Clock) -> None:
    assert threads.silence() == 0
    work = Work()
    call = asyncio.create_task(in_thread(threads, work))
    assert await asyncio.to_thread(work.begun.wait, PATIENCE)
    clock.now += 50
    assert threads.silence() == 50
    work.may_ask.set()
    assert await asyncio.to_thread(work.asked.wait, PATIENCE)
    assert threads.silence() == 0
    clock.now += 7
    assert threads.silence() == 7
    work.may_end.set()
    assert await call == "done"
    assert threads.silence() == 0


async def test_what_waits_for_a_thread_is_not_silent(threads: VideoThreads, clock: Clock) -> None:
    first, second = Work(), Work()
    calls = [asyncio.create_task(in_thread(threads, work)) for work in (first, second)]
    assert await asyncio.to_thread(first.begun.wait, PATIENCE)
    clock.now += 50
    for each in (first, second):
        each.may_ask.set()
        each.may_end.set()
    assert await asyncio.gather(*calls) == ["done", "done"]
    assert threads.silence() == 0


async def test_work_that_failed_is_over(threads: VideoThreads, clock: Clock) -> None:
    def fail(_: Stopped) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(threads, fail)
    clock.now += 50
    assert threads.silence() == 0
