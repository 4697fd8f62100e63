"""What an attempt leaves to the next: finished segments, if what is wanted is the same, and no copy of the source."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.operatorkit import until_async
from support.serving import order, times, tools
from support.videoattempts import FRAMES, KEY, Hold, keys, pages, parts_of, see_red, succeeded
from velum.storage import Storage
from velum.tasks.order import Failed, Progress, Succeeded, WorkOrder
from velum_serve.attempt import run_attempt
from velum_serve.videos.plan import OWNER, PLAN, load
from velum_serve.videos.runs import VideoSettings

pytestmark = pytest.mark.usefixtures("posted")


async def interrupted(stores: Storage, threads: ThreadPoolExecutor, made: WorkOrder, **more: Any) -> dict[str, str]:
    """Cancel an attempt when it has finished some segments; return what it left."""
    hold = Hold(after=FRAMES + 8)  # the first run looks at all frames, the next one is in hand
    given = tools(stores, threads, hold, **more)
    running = asyncio.create_task(run_attempt(made, given))
    await hold.waiting.wait()
    await until_async(lambda: parts_of(stores, made))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await parts_of(stores, made)
    assert 0 < len(left) < FRAMES // 8
    assert await keys(stores, made.folder) == set()
    return left


async def test_a_later_attempt_does_only_what_is_missing(stores: Storage, threads: ThreadPoolExecutor) -> None:
    left = await interrupted(stores, threads, order(1))
    count = Hold(after=1000)
    heard: list[Progress] = []
    watched: dict[str, set[str]] = {}

    async def watch() -> None:
        while True:
            for name, text in (await parts_of(stores, order(2))).items():
                watched.setdefault(name, set()).add(text)
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    manifest = await succeeded(order(2), tools(stores, threads, count), heard.append)
    watching.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await watching
    assert heard[0].frames == 8 * len(left)
    assert all(watched.get(name, {text}) == {text} for name, text in left.items())
    assert len(await pages(stores, manifest)) == FRAMES
    assert manifest.result.detections == {"face": 2}
    assert await keys(stores, order(2).work) == set()


@pytest.mark.parametrize("changed", ["source", "spec", "settings", "model"])
async def test_parts_of_other_wishes_are_not_used(
    changed: str, stores: Storage, threads: ThreadPoolExecutor, squares: bytes
) -> None:
    await interrupted(stores, threads, order(1))
    known = await load(stores.outputs, order(1).work)
    assert known is not None
    made, given = order(2), tools(stores, threads, see_red)
    if changed == "source":
        await stores.inputs.put(KEY, squares)  # its time of change is a different one
    elif changed == "spec":
        made = order(2, method="blacken")
    elif changed == "settings":
        settings = VideoSettings(preset="superfast", batch=4)
        given = tools(stores, threads, see_red, settings=settings)
    else:
        given = replace(given, videos=replace(given.videos, model=["another"]))
    heard: list[Progress] = []
    await succeeded(made, given, heard.append)
    assert heard[0].frames == 0


async def test_suspending_changes_nothing_about_the_parts(stores: Storage, threads: ThreadPoolExecutor) -> None:
    left = await interrupted(stores, threads, order(1, suspend=True))
    heard: list[Progress] = []
    await succeeded(order(2), tools(stores, threads, see_red), heard.append)
    assert heard[0].frames == 8 * len(left)


async def test_a_damaged_part_is_made_again(stores: Storage, threads: ThreadPoolExecutor, squares: bytes) -> None:
    left = await interrupted(stores, threads, order(1))
    key = json.loads(next(iter(left.values())))["video"]["key"]
    data = bytearray(await stores.outputs.get(key))
    data[len(data) // 2] ^= 255
    await stores.outputs.put(key, bytes(data))
    manifest = await succeeded(order(2), tools(stores, threads, see_red))
    assert manifest.result.anonymised is not None
    assert times(await stores.outputs.get(manifest.result.anonymised.key)) == times(squares)


async def test_a_plan_that_makes_no_sense_is_replaced(stores: Storage, threads: ThreadPoolExecutor) -> None:
    await stores.outputs.put(order().work + PLAN, b'{"id": 1}')
    await succeeded(order(), tools(stores, threads, see_red))


@pytest.fixture
async def server(squares: bytes) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=squares)

    application = web.Application()
    application.router.add_get("/film.mp4", answer)
    started = TestServer(application)
    await started.start_server()
    yield started
    await started.close()


async def test_a_video_behind_a_url_leaves_no_copy(
    stores: Storage, threads: ThreadPoolExecutor, server: TestServer
) -> None:
    made = order(source={"url": str(server.make_url("/film.mp4"))})
    hold = Hold(after=20)
    running = asyncio.create_task(run_attempt(made, tools(stores, threads, hold)))
    await hold.waiting.wait()
    assert "source-1/original" in await keys(stores, made.work)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await keys(stores, made.work)
    assert not [name for name in left if name.startswith("source")]
    assert PLAN in left
    await stores.outputs.put(made.work + "source-1/original", b"of an attempt that was killed")
    again = order(2, source={"url": str(server.make_url("/film.mp4"))})
    manifest = await succeeded(again, tools(stores, threads, see_red))
    assert len(await pages(stores, manifest)) == FRAMES
    assert await keys(stores, made.work) == set()


async def test_an_attempt_that_does_not_know_it_was_replaced_disturbs_nothing(
    stores: Storage, threads: ThreadPoolExecutor, server: TestServer
) -> None:
    """Its controller is gone, and its connection hangs: it works on beside its successor, and ends after it began."""
    url = {"url": str(server.make_url("/film.mp4"))}
    first, second = Hold(after=FRAMES + 8), Hold(after=0)
    older = asyncio.create_task(run_attempt(order(1, source=url), tools(stores, threads, first)))
    await first.waiting.wait()
    newer = asyncio.create_task(run_attempt(order(2, source=url), tools(stores, threads, second)))
    await second.waiting.wait()
    first.go_on.set()
    outcome = await older
    assert isinstance(outcome, Failed)
    assert not outcome.permanent
    assert {OWNER, PLAN, "source-2/original"} <= await keys(stores, order().work)
    second.go_on.set()
    assert isinstance(await newer, Succeeded)
    assert await keys(stores, order().work) == set()
    assert await keys(stores, order(1).folder) == set()
