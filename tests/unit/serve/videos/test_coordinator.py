"""Who works on what: shared, taken back, offered anew, always to the end. Replicas are played, the store is real."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.operatorkit import until
from velum.api.reasons import Reason
from velum.storage import BlobStore
from velum_pipeline.errors import StageFailed
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.segments import Segment
from velum_pipeline.video.work import margins
from velum_serve.errors import RunRefused, ServeError
from velum_serve.videos.coordinator import STRIKES, Coordinator
from velum_serve.videos.cutting import Lengths, Numbers, cut
from velum_serve.videos.parts import Parts
from velum_serve.videos.plan import Fence, Plan, new_plan
from velum_serve.videos.progress import Meter
from velum_serve.videos.runs import Told

WORK = "tasks/default/t/work/u/"
FRAMES = 10
ALL = 12
LENGTHS = Lengths(least=20, most=40)
Event = dict[str, Any]


def plan_of(count: int = ALL) -> Plan:
    return new_plan("w", [Segment(number, FRAMES * number, FRAMES * (number + 1)) for number in range(count)])


class Played:
    """A work folder and replicas that only write down that they have done a segment."""

    def __init__(self, folder: Path) -> None:
        self.plan = plan_of()
        self.store = BlobStore((folder / "out").as_uri())
        self.parts = Parts(self.store, WORK, self.plan)
        self.fence = Fence(self.store, WORK, 1)
        self.folder = folder
        self.here: list[int] = []
        self.elsewhere: list[int] = []
        self.withdrawn: list[Numbers] = []
        self.hold_here = asyncio.Event()
        self.hold_here.set()
        self.offer: Callable[[Numbers], AsyncGenerator[Event, None]] = self.works

    def finish(self, number: int, by: list[int]) -> None:
        records = self.folder / "records"
        records.write_bytes(b"{}\n")
        result = SegmentResult(None, records, b"{}", FRAMES, 0)
        self.parts.save(self.plan.segment(number), result, self.fence, lambda: False)
        by.append(number)

    async def local(self, numbers: Numbers, told: Told) -> None:
        await self.hold_here.wait()
        for count, number in enumerate(numbers):
            self.finish(number, self.here)
            told(FRAMES * (count + 1))
            await asyncio.sleep(0)

    async def works(self, numbers: Numbers) -> AsyncGenerator[Event, None]:
        yield {"begun": True}
        for count, number in enumerate(numbers):
            self.finish(number, self.elsewhere)
            yield {"frames": FRAMES * (count + 1)}
            await asyncio.sleep(0)
        yield {"done": True}

    async def nobody(self, numbers: Numbers) -> AsyncGenerator[Event, None]:
        """All replicas are taken: the offer waits in Serve's router."""
        try:
            await asyncio.Event().wait()
            yield {}
        finally:
            self.withdrawn.append(numbers)

    async def declines(self, _: Numbers) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(0.01)
        yield {"declined": True}

    def coordinator(self, helpers: int) -> Coordinator:
        meter = Meter("video/mp4", FRAMES * ALL, 0, lambda _: None)
        turn = asyncio.Semaphore(1)
        return Coordinator(self.plan, self.parts, meter, self.local, self.offer, helpers, turn, LENGTHS)


@pytest.fixture
async def played(tmp_path: Path) -> Played:
    made = Played(tmp_path)
    await made.fence.claim()
    return made


async def finished(coordinator: Coordinator) -> list[int]:
    async with asyncio.timeout(20):
        return sorted(await coordinator.finish())


async def test_alone_it_works_through_everything_in_order(played: Played) -> None:
    assert await finished(played.coordinator(0)) == list(range(ALL))
    assert played.here == list(range(ALL))


async def test_others_help(played: Played) -> None:
    assert await finished(played.coordinator(2)) == list(range(ALL))
    assert sorted(played.here + played.elsewhere) == list(range(ALL))
    assert len(played.here) >= 2
    assert len(played.elsewhere) >= 2


async def test_while_this_one_is_held_up_others_do_the_rest(played: Played) -> None:
    """Another video has its turn here."""
    coordinator = played.coordinator(1)
    async with coordinator.turn:
        running = asyncio.create_task(finished(coordinator))
        await until(lambda: len(played.elsewhere) == ALL)
    assert await running == list(range(ALL))
    assert played.here == []


async def test_offers_that_nobody_takes_are_taken_back(played: Played) -> None:
    played.offer = played.nobody
    assert await finished(played.coordinator(3)) == list(range(ALL))
    assert sorted(played.here) == list(range(ALL))
    assert len(played.withdrawn) == 3


async def test_offers_that_are_declined_are_made_again(played: Played) -> None:
    played.offer = played.declines
    assert await finished(played.coordinator(2)) == list(range(ALL))
    assert sorted(played.here) == list(range(ALL))


async def test_what_is_done_is_not_done_again(played: Played) -> None:
    for number in (0, 1, 5, 11):
        played.finish(number, [])
    coordinator = played.coordinator(1)
    coordinator.done = await played.parts.finished()
    assert await finished(coordinator) == list(range(ALL))
    assert sorted(played.here + played.elsewhere) == [2, 3, 4, 6, 7, 8, 9, 10]


async def test_with_everything_done_nobody_is_asked(played: Played) -> None:
    coordinator = played.coordinator(1)
    coordinator.done = dict.fromkeys(range(ALL))  # type: ignore[arg-type]
    assert await finished(coordinator) == list(range(ALL))
    assert played.here == played.elsewhere == []


async def test_of_a_run_that_broke_off_only_the_rest_is_done_again(played: Played) -> None:
    died: list[Numbers] = []

    async def dies(numbers: Numbers) -> AsyncGenerator[Event, None]:
        yield {"begun": True}
        played.finish(numbers[0], played.elsewhere)
        if not died:
            died.append(numbers)
            raise ConnectionError("the replica is gone")
        for number in numbers[1:]:
            played.finish(number, played.elsewhere)
        yield {"done": True}

    played.offer = dies
    assert await finished(played.coordinator(1)) == list(range(ALL))
    assert sorted(played.here + played.elsewhere) == list(range(ALL))
    assert len(died[0]) > 1


@pytest.mark.parametrize("breaks", ["raises", "ends", "fails"])
async def test_one_that_never_gets_anywhere_is_asked_no_more(breaks: str, played: Played) -> None:
    asked: list[Numbers] = []

    async def broken(numbers: Numbers) -> AsyncGenerator[Event, None]:
        asked.append(numbers)
        yield {"begun": True}
        if breaks == "raises":
            raise ConnectionError("gone")
        if breaks == "fails":
            yield {"failed": {"reason": "PipelineFailed", "message": "no"}}

    played.offer = broken
    played.hold_here.clear()
    running = asyncio.create_task(finished(played.coordinator(1)))
    await until(lambda: len(asked) == STRIKES)
    await asyncio.sleep(0.1)
    played.hold_here.set()
    assert await running == list(range(ALL))
    assert len(asked) == STRIKES
    assert sorted(played.here) == list(range(ALL))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "LEAVE_SECONDS", "SILENCE_SECONDS"):
        monkeypatch.setattr(f"velum_serve.videos.coordinator.{name}", 0.05)


async def test_an_offer_that_does_not_end_holds_nothing_up(played: Played, hasty: None) -> None:
    """A cancellation that Serve swallows must not stop a video for ever."""
    enough = asyncio.Event()

    async def stubborn(_: Numbers) -> AsyncGenerator[Event, None]:
        while not enough.is_set():
            with suppress(asyncio.CancelledError):
                await enough.wait()
        yield {}

    played.offer = stubborn
    assert await finished(played.coordinator(2)) == list(range(ALL))
    assert sorted(played.here) == list(range(ALL))
    enough.set()
    await asyncio.sleep(0)


async def test_a_replica_that_falls_silent_loses_its_run(played: Played, hasty: None) -> None:
    async def falls_silent(numbers: Numbers) -> AsyncGenerator[Event, None]:
        yield {"begun": True}
        played.finish(numbers[0], played.elsewhere)
        await asyncio.Event().wait()

    played.offer = falls_silent
    assert await finished(played.coordinator(1)) == list(range(ALL))
    assert sorted(played.here + played.elsewhere) == list(range(ALL))


async def test_what_can_never_be_done_ends_it_at_once(played: Played) -> None:
    async def refuses(_: Numbers) -> AsyncGenerator[Event, None]:
        yield {"begun": True}
        yield {"failed": {"reason": "CorruptMedia", "message": "frame 7"}}

    played.offer = refuses
    played.hold_here.clear()  # also while this one is in a run
    with pytest.raises(RunRefused, match="frame 7") as caught:
        await finished(played.coordinator(1))
    assert caught.value.reason is Reason.CORRUPT_MEDIA


async def test_an_error_here_ends_it_and_withdraws_all_offers(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(numbers: Numbers, told: Told) -> None:
        raise ServeError("the disk is full")

    monkeypatch.setattr(played, "local", fails)
    played.offer = played.nobody
    with pytest.raises(ServeError, match="disk"):
        await finished(played.coordinator(2))
    assert len(played.withdrawn) == 2


async def test_work_that_leaves_nothing_is_an_error(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    async def idles(numbers: Numbers, told: Told) -> None:
        pass

    monkeypatch.setattr(played, "local", idles)
    with pytest.raises(StageFailed, match="segments 0"):
        await finished(played.coordinator(0))


async def test_cancelling_withdraws_all_offers(played: Played) -> None:
    played.offer = played.nobody
    played.hold_here.clear()
    running = asyncio.create_task(finished(played.coordinator(2)))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(played.withdrawn) == 2
    assert played.here == []


@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59)),
    st.integers(1, 5),
    st.integers(1, 100),
    st.integers(100, 300),
)
def test_runs_are_neighbours_and_nothing_is_left_out(
    count: int, done: set[int], workers: int, least: int, most: int
) -> None:
    plan = plan_of(count)
    missing = [number for number in range(count) if number not in done]
    runs = cut(plan, missing, workers, Lengths(least, most))
    assert [number for run in runs for number in run] == missing
    assert all(run == tuple(range(run[0], run[-1] + 1)) for run in runs)
    assert all(plan.frames(run) <= most + least // 2 for run in runs)


@pytest.mark.parametrize("every", [1, 2, 5, 10])
def test_what_is_done_besides_a_run_costs_little(every: int) -> None:
    lengths = Lengths.worth(every)
    assert sum(margins(every)) <= 0.15 * lengths.least
    assert lengths.least < lengths.most


def test_runs_are_long_enough_to_be_worth_it() -> None:
    plan = plan_of(60)
    runs = cut(plan, range(60), 8, Lengths(100, 400))
    assert [plan.frames(run) for run in runs] == [100] * 6
    assert [plan.frames(run) for run in cut(plan, range(60), 1, Lengths(100, 400))] == [300, 300]
    assert cut(plan, range(5), 8, Lengths(100, 400)) == [(0, 1, 2, 3, 4)]
