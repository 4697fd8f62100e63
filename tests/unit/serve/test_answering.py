"""An attempt's answer: progress as it comes, the outcome as the last, and nothing goes on when nobody reads."""

import asyncio
from typing import Any

import pytest

from velum.tasks.order import Progress
from velum_serve.answering import documents
from velum_serve.videos.progress import Told


async def test_progress_then_the_outcome() -> None:
    async def run(told: Told) -> dict[str, Any]:
        told(Progress(0, 9, None))
        await asyncio.sleep(0)
        told(Progress(5, 9, 1.26, 2, "video/mp4"))
        return {"outcome": "succeeded"}

    assert [each async for each in documents(run)] == [
        {"progress": {"frames": 0, "of": 9, "seconds_left": None, "kept": 0, "media_type": None}},
        {"progress": {"frames": 5, "of": 9, "seconds_left": 1.3, "kept": 2, "media_type": "video/mp4"}},
        {"outcome": "succeeded"},
    ]


async def test_an_error_is_raised_where_the_outcome_would_be() -> None:
    async def run(told: Told) -> dict[str, Any]:
        told(Progress(0, 9, None))
        raise LookupError

    answer = documents(run)
    assert "progress" in await anext(answer)
    with pytest.raises(LookupError):
        await anext(answer)


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_who_reads_no_more_ends_the_attempt(how: str) -> None:
    ended: list[str] = []

    async def run(told: Told) -> dict[str, Any]:
        told(Progress(0, 9, None))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # as when a thread has to be waited for
            ended.append(how)
        raise AssertionError

    answer = documents(run)
    await anext(answer)
    if how == "closed":
        await answer.aclose()
    else:
        reading = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert ended == [how]
