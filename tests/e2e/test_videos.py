"""Videos on a real Ray with two replicas: shared between them, and finished although processes are killed on the way.

The tests share one Ray and run in the order of the file.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from support.operatorkit import Bench, bench, settings
from support.raycluster import PATIENCE, Cluster, until
from support.serving import order, spec, times, video
from velum.api.status import Phase
from velum.api.task import AnonymizationTask
from velum.clock import SystemClock
from velum.tasks.order import Manifest, WorkOrder, work_order
from velum.tasks.sqlite import SqliteStore
from velum_operator.dispatch import ServeDispatcher
from velum_operator.rayapi import RayClient
from velum_serve.head import LocalRay
from velum_serve.videos.parts import DOCUMENT

pytestmark = [
    pytest.mark.ray,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="a private Ray needs Linux"),
]

TESTS = Path(__file__).parent.parent
FRAMES = 320
SEGMENT = 16
SOURCE = video(FRAMES, gop=SEGMENT)
LONGEST = PATIENCE
"""Seconds. A video takes 5 of them on two free cores, 40 where twenty processes want them."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    folder = tmp_path_factory.mktemp("videos")
    ray = LocalRay(folder / "ray", num_cpus=2)
    await ray.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            made = Cluster(ray, folder, session)
            cut = {"segment_frames": SEGMENT, "run_frames": 4 * SEGMENT, "preset": "ultrafast"}
            await made.deploy(made.application("default", replicas=2, most=2, **cut))
            await until(lambda: both(made), "two replicas")
            await made.stores.inputs.put("in/film.mp4", SOURCE)
            yield made
    finally:
        await ray.stop()


async def both(cluster: Cluster) -> bool:
    """Whether two replicas run."""
    return len(await cluster.replicas()) == 2


def film(task: str, attempt: int = 1) -> WorkOrder:
    """An order for the video."""
    return order(attempt, task=task, source={"object": {"key": "in/film.mp4"}})


class Watch:
    """Watches a work folder: which files were named for each segment, and when a segment was finished first."""

    def __init__(self, cluster: Cluster, made: WorkOrder) -> None:
        self._cluster = cluster
        self._made = made
        self.files: dict[int, set[str]] = {}
        self.finished: list[int] = []
        self._task = asyncio.create_task(self._run())

    async def __aenter__(self) -> "Watch":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        outputs = self._cluster.stores.outputs
        while True:
            for blob in await outputs.below(self._made.work):
                if DOCUMENT.search(blob.key):
                    with contextlib.suppress(Exception):  # it may be gone
                        part = json.loads(await outputs.get(blob.key))
                        if part["number"] not in self.files:
                            self.finished.append(part["number"])
                        self.files.setdefault(part["number"], set()).add(part["video"]["key"])
            await asyncio.sleep(0.02)

    def some(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether so many segments are finished."""

        async def enough() -> bool:
            return len(self.finished) >= count

        return enough


class Answer:
    """What comes of an order, line by line."""

    def __init__(self, cluster: Cluster, made: WorkOrder) -> None:
        self.lines: list[dict[str, Any]] = []
        self._cluster = cluster
        self.task = asyncio.create_task(self._read(cluster, made))

    async def _read(self, cluster: Cluster, made: WorkOrder) -> None:
        url = f"{cluster.ray.url}/default/attempts"
        async with cluster.session.post(url, json=made.wire(), headers=cluster.ray.headers) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                self.lines.append(json.loads(line))

    async def outcome(self) -> dict[str, Any]:
        """The last line. Fails when it takes too long, with what was told until then."""
        async with self.in_time():
            await self.task
        return self.lines[-1]

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Wait for the answer no longer than a starved machine needs for it."""
        try:
            async with asyncio.timeout(LONGEST):
                yield
        except TimeoutError:
            self.task.cancel()
            told = f"{len(self.lines)} lines, the last {self.lines[-1:]}"
            pytest.fail(f"no outcome within {LONGEST:.0f} s: {told}; {await self._cluster.states()}")


async def right(cluster: Cluster, made: WorkOrder, outcome: dict[str, Any]) -> Manifest:
    """The manifest, once everything about the result was looked at."""
    assert outcome["outcome"] == "succeeded", outcome
    manifest = Manifest.model_validate(outcome["manifest"])
    result = manifest.result
    assert (result.frames, result.skipped_frames, manifest.media_type) == (FRAMES, 0, "video/mp4")
    assert result.anonymised is not None
    assert result.metadata is not None
    data = await cluster.stores.outputs.get(result.anonymised.key)
    assert times(data) == times(SOURCE)
    pages = json.loads(await cluster.stores.outputs.get(result.metadata.key))
    assert [page["id"] for page in pages] == list(range(FRAMES))
    assert await cluster.stores.outputs.below(made.work) == []
    return manifest


async def test_two_replicas_share_a_video(cluster: Cluster) -> None:
    made = film("shared")
    async with Watch(cluster, made) as watch:
        answer = Answer(cluster, made)
        outcome = await answer.outcome()
    await right(cluster, made, outcome)
    assert watch.finished != sorted(watch.finished)  # others begin at the other end
    told = [line["progress"] for line in answer.lines[:-1]]
    assert len(told) >= 2
    assert [each["of"] for each in told] == [FRAMES] * len(told)
    frames = [each["frames"] for each in told]
    assert frames == sorted(frames)
    assert frames[0] == 0
    assert told[-1]["seconds_left"] is not None


async def coordinator(cluster: Cluster) -> int:
    """The process that has the order; the other one helps."""
    found: list[int] = []

    async def seen() -> bool:
        health = await cluster.health()
        found.extend([health["pid"]] * health["ongoing"])
        return bool(found)

    await until(seen, "a replica that has an order")
    return found[0]


@pytest.mark.parametrize("which", ["coordinator", "helper"])
async def test_a_replica_is_killed_and_nothing_is_done_twice(cluster: Cluster, which: str) -> None:
    """Without the one that has the order it takes a second attempt; without the one that helps it does not."""
    await until(lambda: both(cluster), "two replicas")
    made = film(f"killed-{which}")
    async with Watch(cluster, made) as watch:
        answer = Answer(cluster, made)
        await until(watch.some(4), "some segments")
        before = {number: set(files) for number, files in watch.files.items()}
        first = await coordinator(cluster)
        victim = first if which == "coordinator" else next(pid for pid in await cluster.replicas() if pid != first)
        os.kill(victim, signal.SIGKILL)
        try:
            outcome = await answer.outcome()
        except aiohttp.ClientError:
            outcome = {}
        assert ("outcome" in outcome) == (which == "helper")
        if which == "coordinator":
            made = film(f"killed-{which}", attempt=2)
            again = Answer(cluster, made)
            outcome = await again.outcome()
            assert again.lines[0]["progress"]["frames"] >= SEGMENT * len(before)
        assert all(watch.files[number] == files for number, files in before.items())
        twice = [number for number, files in watch.files.items() if len(files) > 1]
        assert twice == []
    await right(cluster, made, outcome)


async def test_hanging_up_ends_the_work_everywhere(cluster: Cluster) -> None:
    await until(lambda: both(cluster), "two replicas")
    made = film("hung-up")
    async with Watch(cluster, made) as watch:
        answer = Answer(cluster, made)
        await until(watch.some(3), "some segments")
        answer.task.cancel()
        await until(lambda: idle(cluster), "nobody works on it")
        assert len(watch.finished) < FRAMES // SEGMENT
    assert await cluster.stores.outputs.below(made.folder) == []
    assert await cluster.stores.outputs.below(made.work)  # for the next attempt


CONTROLLER = """
import asyncio, sys
from pathlib import Path
from support.operatorkit import bench, settings
from velum.clock import SystemClock
from velum.tasks.sqlite import SqliteStore
from velum_operator.dispatch import ServeDispatcher
from velum_operator.rayapi import RayClient

async def main():
    given = settings(Path(sys.argv[1]), serving={"url": sys.argv[2], "token": sys.argv[3]})
    async with SqliteStore(Path(sys.argv[1]) / "velum.db", SystemClock()) as store:
        async with ServeDispatcher(given.serving, RayClient(given.serving).token) as dispatcher:
            async with bench(store, given, replicas=dispatcher, clock=SystemClock()):
                print("ready", flush=True)
                await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def controlled(cluster: Cluster) -> AsyncIterator[Bench]:
    """A controller in this process that hands out orders to the real Ray."""
    given = settings(cluster.folder, serving={"url": cluster.ray.url, "token": cluster.ray.token})
    async with (
        SqliteStore(cluster.folder / "velum.db", SystemClock()) as store,
        ServeDispatcher(given.serving, RayClient(given.serving).token) as dispatcher,
        bench(store, given, replicas=dispatcher, clock=SystemClock()) as made,
    ):
        yield made


def order_of(task: AnonymizationTask) -> WorkOrder:
    return work_order(task, 1)


FILM = {"source": {"object": {"key": "in/film.mp4"}}}


async def test_the_controller_is_killed_and_nothing_is_done_twice(cluster: Cluster) -> None:
    await until(lambda: both(cluster), "two replicas")
    async with SqliteStore(cluster.folder / "velum.db", SystemClock()) as store:
        task = await store.create("orphaned", spec(**FILM), labels={})
        made = order_of(task)
        argv = [sys.executable, "-c", CONTROLLER, str(cluster.folder), cluster.ray.url, cluster.ray.token]
        child = await asyncio.create_subprocess_exec(
            *argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TESTS)}
        )
        async with Watch(cluster, made) as watch:
            await until(watch.some(3), "some segments")
            status = (await store.get("orphaned")).status
            assert (status.phase, status.attempt) == (Phase.RUNNING, 1)
            assert status.frames is not None
            assert status.frames.of == FRAMES
            before = {number: set(files) for number, files in watch.files.items()}
            child.kill()
            await child.wait()
            async with controlled(cluster) as bench:
                task = await bench.until("orphaned", lambda task: task.status.finished, 60)
            assert all(watch.files[number] == files for number, files in before.items())
            assert [number for number, files in watch.files.items() if len(files) > 1] == []
        status = task.status
        assert status.complete, status
        assert (status.attempt, status.failures, status.progress_percent) == (2, 0, 100)
        assert status.estimated_finish_at is None
        assert status.result is not None
        assert status.result.frames == FRAMES
        assert await cluster.stores.outputs.below(made.work) == []


async def test_deleting_the_task_ends_the_work_and_leaves_nothing(cluster: Cluster) -> None:
    await until(lambda: both(cluster), "two replicas")
    async with controlled(cluster) as bench:
        task = await bench.store.create("deleted", spec(**FILM), labels={})
        async with Watch(cluster, order_of(task)) as watch:
            await until(watch.some(3), "some segments")
            await bench.store.delete("deleted")
            await bench.gone("deleted")
            asked = time.monotonic()
            await until(lambda: idle(cluster), "nobody works on it")
            assert time.monotonic() - asked < PATIENCE
        assert await cluster.stores.outputs.below("tasks/default/deleted/") == []


async def idle(cluster: Cluster) -> bool:
    """Whether the replica that answers is in no run."""
    answers = [await cluster.health() for _ in range(6)]
    return not any(health["ongoing"] or health["running"] for health in answers)


async def test_one_video_brings_up_the_second_replica(cluster: Cluster) -> None:
    """Serve counts orders, not work: a video must look like as many as its replicas should have."""
    cut = {"segment_frames": SEGMENT, "run_frames": 3 * SEGMENT, "preset": "ultrafast"}
    before = set(await cluster.replicas())
    await cluster.deploy(cluster.application("default", replicas=1, most=2, **cut))

    async def alone() -> bool:
        now = await cluster.replicas()
        return len(now) == 1 and not before & set(now) and await cluster.running()

    await until(alone, "one replica")
    seen: set[int] = set()
    answer = Answer(cluster, film("growing"))
    async with answer.in_time():
        while not answer.task.done():
            seen.add(len(await cluster.replicas()))
            await asyncio.sleep(0.2)
    assert (await answer.outcome())["outcome"] == "succeeded"
    assert 2 in seen


async def test_a_broken_video_is_an_outcome(cluster: Cluster) -> None:
    await cluster.stores.inputs.put("in/cut.mp4", SOURCE[: len(SOURCE) // 2])
    made = order(task="cut", source={"object": {"key": "in/cut.mp4"}})
    status, outcome = await cluster.post(made)
    assert (status, outcome["outcome"], outcome["reason"]) == (200, "failed", "TruncatedMedia")
    assert await cluster.stores.outputs.below("tasks/default/cut/") == []
