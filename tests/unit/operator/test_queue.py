"""The work queue: no name twice at a time, no wish lost, no wish piled up."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.samples import NOW, ManualClock
from velum_operator.queue import LONGEST_SLEEP, WorkQueue

NAMES = st.sampled_from("abcde")


def after(seconds: float):
    return NOW + timedelta(seconds=seconds)


async def taken(queue: WorkQueue) -> list[str]:
    """Take what is ready, and put each back at once."""
    names = []
    while len(queue):
        name = await queue.get()
        names.append(name)
        queue.done(name)
    return names


async def test_a_name_that_waits_is_not_queued_twice() -> None:
    queue = WorkQueue(ManualClock())
    for name in ("a", "b", "a", "a"):
        queue.add(name)
    assert await taken(queue) == ["a", "b"]


async def test_a_name_that_is_worked_on_comes_once_more() -> None:
    queue = WorkQueue(ManualClock())
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0  # nobody else gets it meanwhile
    assert not queue.idle
    queue.done("a")
    assert await taken(queue) == ["a"]
    assert queue.idle


async def test_get_waits_for_what_comes() -> None:
    queue = WorkQueue(ManualClock())
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("late")
    assert await getting == "late"


async def test_a_cancelled_get_loses_nothing() -> None:
    queue = WorkQueue(ManualClock())
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    getting.cancel()
    with suppress(asyncio.CancelledError):
        await getting
    queue.add("a")
    assert await queue.get() == "a"


class TestWakeUps:
    async def test_not_before_their_time(self) -> None:
        clock = ManualClock()
        queue = WorkQueue(clock)
        queue.wake_at("a", after(5))
        assert queue.release_due() == 5
        clock.forward(seconds=4.999)
        queue.release_due()
        assert await taken(queue) == []
        clock.forward(seconds=0.001)
        assert queue.release_due() == LONGEST_SLEEP
        assert await taken(queue) == ["a"]

    async def test_a_later_wish_replaces_an_earlier_one_and_none_drops_it(self) -> None:
        clock = ManualClock()
        queue = WorkQueue(clock)
        queue.wake_at("a", after(1))
        queue.wake_at("a", after(10))
        queue.wake_at("b", after(1))
        queue.wake_at("b", None)
        queue.wake_at("c", after(1))
        queue.forget("c")
        clock.forward(seconds=5)
        queue.release_due()
        assert await taken(queue) == []
        clock.forward(seconds=5)
        queue.release_due()
        assert await taken(queue) == ["a"]

    async def test_wake_earlier_only_brings_forward(self) -> None:
        clock = ManualClock()
        queue = WorkQueue(clock)
        queue.wake_at("a", after(5))
        queue.wake_earlier("a", after(10))
        queue.wake_earlier("a", after(3))
        assert queue.release_due() == 3

    async def test_a_nearer_wish_wakes_the_timer(self) -> None:
        clock = ManualClock()
        queue = WorkQueue(clock)
        queue.wake_at("far", after(1000))
        timer = asyncio.create_task(queue.run_timer())
        await asyncio.sleep(0)
        queue.wake_at("near", after(-1))
        assert await asyncio.wait_for(queue.get(), 5) == "near"
        clock.forward(seconds=1000)
        queue.release_due()
        assert len(queue) == 1
        timer.cancel()
        with suppress(asyncio.CancelledError):
            await timer

    async def test_replaced_wishes_do_not_pile_up(self) -> None:
        queue = WorkQueue(ManualClock())
        for i in range(10_000):
            queue.wake_at(f"task-{i % 10}", after(i + 1))
        assert len(queue._heap) < 200


@given(st.lists(st.tuples(st.sampled_from(["add", "get", "done", "wake", "drop", "time"]), NAMES, st.integers(0, 9))))
def test_every_wish_is_met_once_and_never_two_at_a_time(steps: list[tuple[str, str, int]]) -> None:
    """Against a model that is nothing but sets: what must come out of the queue, and what must not."""
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, str, int]]) -> None:
    clock = ManualClock()
    queue = WorkQueue(clock)
    wanted: set[str] = set()
    working: set[str] = set()
    due: dict[str, float] = {}
    now = 0.0
    for what, name, number in steps:
        match what:
            case "add":
                queue.add(name)
                wanted.add(name)
            case "get" if len(queue):
                got = await queue.get()
                assert got in wanted
                assert got not in working
                wanted.discard(got)
                working.add(got)
            case "done" if name in working:
                queue.done(name)
                working.discard(name)
            case "wake":
                queue.wake_at(name, after(now + number))
                due[name] = now + number
            case "drop":
                queue.wake_at(name, None)
                due.pop(name, None)
            case "time":
                now += number
                clock.forward(seconds=number)
                queue.release_due()
                for each in [each for each, when in due.items() if when <= now]:
                    del due[each]
                    wanted.add(each)
    for name in sorted(working):
        queue.done(name)
    assert set(await taken(queue)) == wanted
