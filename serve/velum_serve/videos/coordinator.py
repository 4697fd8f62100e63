"""Has a video's missing segments worked on by all replicas, this one included, until none is missing.

Missing segments are cut into runs. This replica works on runs itself, one after the other. Beside that, runs are
offered to others; Serve's router looks for a replica that has room. For each replica that there can be, as many are
offered as it should have orders, because that is how Serve sees that replicas are missing and starts them. An offer
that nobody has begun is taken back as soon as this replica has nothing else to do. So nobody ever waits for anybody:
with no other replica, or with all of them taken by videos of their own, this one works through everything alone.

A replica that dies with a run loses the segments it had in hand; those it had finished are in the work folder, and the
rest is offered anew. Where this replica dies, the next attempt begins by looking at what is in the work folder.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from velum.api.reasons import INPUT_REASONS, Reason
from velum_pipeline.errors import StageFailed
from velum_serve.errors import RunRefused, ServeError
from velum_serve.videos.cutting import Lengths, Numbers, cut
from velum_serve.videos.parts import Part, Parts
from velum_serve.videos.plan import Plan
from velum_serve.videos.progress import Meter
from velum_serve.videos.runs import Told

logger = logging.getLogger(__name__)

STRIKES = 3
"""Runs in a row that another replica broke off without having finished a segment, after which no more are offered to
it. A replica that is killed costs one; a segment that kills whoever works on it must come to an end."""

SILENCE_SECONDS = 60.0
"""A replica that works tells so twice a second. After this long without a word its run is given to another one: what it
may still finish does no harm."""

LOOK_SECONDS = 1.0
"""How often an offer is looked at that nothing is heard of."""

LEAVE_SECONDS = 5.0
"""How long an offer that was taken back may take to end. Nothing depends on it, and Serve's own code is in it."""

Local = Callable[[Numbers, Told], Awaitable[None]]
Offer = Callable[[Numbers], AsyncGenerator[dict[str, Any], None]]
"""Offers a run to another replica; yields what `Runs.events` tells there. Closing it takes the offer back."""


@dataclass(eq=False)
class _Offered:
    numbers: Numbers
    begun: bool = False
    taken: bool = False
    declined: bool = False
    call: "asyncio.Task[None] | None" = None
    heard: float = 0.0

    @property
    def silent(self) -> bool:
        """Whether a replica that has begun should have told something since."""
        return self.begun and time.monotonic() - self.heard > SILENCE_SECONDS

    @property
    def free(self) -> bool:
        """Whether nobody works on it."""
        return not (self.begun or self.taken)


@dataclass
class Coordinator:
    """Gets the segments of one plan done.

    local: works on a run here. offer: asks another replica. helpers: how many runs are offered at a time. turn: held
    while this replica works on a run. All others are state.
    """

    plan: Plan
    parts: Parts
    meter: Meter
    local: Local
    offer: Offer
    helpers: int
    turn: asyncio.Semaphore
    lengths: Lengths
    done: dict[int, Part] = field(default_factory=dict)
    _pending: deque[Numbers] = field(default_factory=deque)
    _offers: list[_Offered] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def finish(self) -> dict[int, Part]:
        """Return all parts by number, once there are all.

        Raises what working on a run here raises, RunRefused, Unavailable.
        """
        missing = [number for number in range(len(self.plan.segments)) if number not in self.done]
        if not missing:
            return self.done
        self._pending.extend(cut(self.plan, missing, 1 + self.helpers, self.lengths))
        tasks = [asyncio.create_task(self._here())]
        tasks += [asyncio.create_task(self._elsewhere()) for _ in range(min(self.helpers, len(self._pending) - 1))]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _all_ended(tasks)
        for task in ended:
            task.result()
        return self.done

    async def _here(self) -> None:
        while self._pending or self._offers:
            if self._pending or any(each.free for each in self._offers):
                async with self.turn:
                    if (numbers := self._take()) is not None:
                        await self._work(numbers)
            else:
                await self._change()
        self._pulse()

    def _take(self) -> Numbers | None:
        """Return a run for this replica: one that nobody was offered, else one that nobody has begun."""
        if self._pending:
            return self._pending.popleft()
        for offered in self._offers:
            if offered.free and offered.call is not None:
                offered.taken = True
                offered.call.cancel()
                return offered.numbers
        return None

    async def _work(self, numbers: Numbers) -> None:
        await self.local(numbers, lambda frames: self.meter.at(numbers, frames))
        if left := await self._settle(numbers):
            raise StageFailed(f"segments {', '.join(map(str, left))} were worked on and are not there")

    async def _elsewhere(self) -> None:
        strikes = 0
        while strikes < STRIKES and (self._pending or self._offers):
            if not self._pending:
                await self._change()
                continue
            offered = _Offered(self._pending.pop())
            self._offers.append(offered)
            self._pulse()
            try:
                strikes = 0 if await self._offered(offered) else strikes + 1
            finally:
                self._offers.remove(offered)
                self._pulse()

    async def _offered(self, offered: _Offered) -> bool:
        """Offer a run and see how that ends; what is not done goes back. Tell whether it was worth it."""
        offered.call = asyncio.create_task(self._follow(offered))
        try:
            while not (offered.call.done() or offered.taken or offered.silent):
                await asyncio.wait([offered.call], timeout=LOOK_SECONDS)
        finally:
            await _let_go(offered.call)
        if offered.taken:
            return True
        error = offered.call.exception() if offered.call.done() and not offered.call.cancelled() else None
        if isinstance(error, RunRefused):
            raise error
        if offered.declined:
            self._pending.append(offered.numbers)
            return True
        if error is not None:
            logger.warning("a run of %d segments broke off: %s", len(offered.numbers), type(error).__name__)
        left = await self._settle(offered.numbers)
        if left:
            self._pending.extend(cut(self.plan, left, 1, self.lengths))
        return len(left) < len(offered.numbers)

    async def _follow(self, offered: _Offered) -> None:
        async with contextlib.aclosing(self.offer(offered.numbers)) as events:
            async for event in events:
                offered.heard = time.monotonic()
                match event:
                    case {"begun": _}:
                        offered.begun = True
                    case {"declined": _}:
                        offered.declined = True
                    case {"frames": int(frames)}:
                        self.meter.at(offered.numbers, frames)
                    case {"failed": {"reason": reason, "message": message}} if Reason(reason) in INPUT_REASONS:
                        raise RunRefused(Reason(reason), str(message))
                    case {"failed": {"message": message}}:
                        raise ServeError(str(message))
                    case _:
                        return

    async def _settle(self, numbers: Numbers) -> list[int]:
        """See what of a run is done; return what is not."""
        found = await self.parts.of(numbers)
        self.done.update(found)
        self.meter.end(numbers, self.plan.frames(list(found)))
        return [number for number in numbers if number not in found]

    async def _change(self) -> None:
        await self._changed.wait()

    def _pulse(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _let_go(call: "asyncio.Task[None]") -> None:
    """Cancel a call to another replica, and leave it alone if it does not end soon."""
    until = time.monotonic() + LEAVE_SECONDS
    while not call.done() and time.monotonic() < until:
        call.cancel()
        await asyncio.wait([call], timeout=LOOK_SECONDS)
    call.add_done_callback(lambda done: done.cancelled() or done.exception())  # so that nobody reports it as forgotten
    if not call.done():
        logger.warning("an offer that was taken back has not ended")


async def _all_ended(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancel tasks and return when they have ended, whoever cancels this meanwhile."""
    for task in tasks:
        task.cancel()
    cancelled = False
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError:
            cancelled = True
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as forgotten
    if cancelled:
        raise asyncio.CancelledError
