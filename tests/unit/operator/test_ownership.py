"""Who may sweep: never an installation that only believes that the storage is its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from support.operatorkit import settings, storage_of, until, until_async
from support.playedray import PlayedRay
from support.samples import ManualClock, model_spec, spec
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.sqlite import SqliteStore
from velum_operator.assembly import new_metrics
from velum_operator.janitor import Janitor
from velum_operator.local import run_local
from velum_operator.metrics import ControllerMetrics
from velum_operator.ownership import OWNER, Ownership, Standing

MARK = f"tasks/default/{OWNER}"
LATER = 400 * 24 * 3600.0


@pytest.fixture
async def mine(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "mine.db") as store:
        yield store


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "other.db") as store:
        yield store


@pytest.fixture
def storage(given: Settings) -> Storage:
    return storage_of(given)


async def janitor(store: SqliteStore, given: Settings, storage: Storage, clock: ManualClock) -> Janitor:
    metrics = ControllerMetrics(CollectorRegistry())
    return Janitor(store, storage, clock, given.controller, metrics, await store.identity())


async def result(storage: Storage, name: str) -> str:
    key = f"tasks/default/{name}/attempts/u-1/anonymised.jpg"
    await storage.outputs.put(key, b"precious")
    return key


async def keys(storage: Storage) -> set[str]:
    return {blob.key for store in (storage.inputs, storage.outputs) for blob in await store.below("")}


class TestTwoInstallations:
    async def test_nobodys_results_are_removed(
        self, mine: SqliteStore, other: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        """Two databases on one folder, both with results, both sweeping for more than a year."""
        clock = ManualClock()
        janitors = [await janitor(store, given, storage, clock) for store in (mine, other)]
        for store, each in zip((mine, other), janitors, strict=True):
            await each.sweep()
            task = await store.create(f"of-{(await store.identity())[:8]}", spec(), labels={})
            await result(storage, task.name)
            await storage.inputs.put(f"{task.folder}input", b"original")
        before = await keys(storage)
        for _ in range(5):
            clock.forward(seconds=LATER)
            assert [await each.sweep() for each in janitors] == [(), ()]
        assert await keys(storage) == before

    async def test_whole_controllers_one_after_the_other(
        self, mine: SqliteStore, other: SqliteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two `velum up` with different databases on one output folder, back and forth over the years."""
        caplog.set_level(logging.INFO)
        async with PlayedRay() as ray:
            given = settings(tmp_path, serving={"dashboard": ray.url, "url": ray.url})
            storage = storage_of(given)
            ray.outputs = storage.outputs
            clock = ManualClock()
            made = [(mine, "first"), (other, "second"), (mine, "third"), (other, "fourth")]
            for store, name in made:
                caplog.clear()
                await store.put_model("default", model_spec())
                stop, (_, metrics) = asyncio.Event(), new_metrics()
                running = asyncio.create_task(run_local(store, storage, given, metrics, clock=clock, stop=stop))
                await store.create(name, spec(), labels={})
                await until_async(lambda s=store, n=name: _complete(s, n))
                await until(lambda: "out as used by" in caplog.text or "out are not removed" in caplog.text)
                stop.set()
                await running
                clock.forward(seconds=LATER)
            for store, name in made:
                task = await store.get(name)
                assert task.status.result is not None
                assert await storage.outputs.get(task.status.result.anonymised.key)

    async def test_a_lost_database_costs_no_result(
        self, mine: SqliteStore, tmp_path: Path, storage: Storage, given: Settings
    ) -> None:
        clock = ManualClock()
        await (await janitor(mine, given, storage, clock)).sweep()
        await mine.create("a", spec(), labels={})
        key = await result(storage, "a")
        await mine.aclose()
        async with SqliteStore(tmp_path / "new.db") as new:
            again = await janitor(new, given, storage, clock)
            for _ in range(3):
                clock.forward(seconds=LATER)
                assert await again.sweep() == ()
        assert await storage.outputs.get(key) == b"precious"

    async def test_of_two_that_mark_at_one_moment_none_sweeps_for_long(
        self, mine: SqliteStore, other: SqliteStore, storage: Storage
    ) -> None:
        """One of the two marks is lost. Who lost it notices at its next look, and tells the other one."""
        both = [Ownership(store, "default", await store.identity()) for store in (mine, other)]
        first = await asyncio.gather(*(each.standing(storage.outputs) for each in both))
        assert first == [Standing.NEW, Standing.NEW]
        for each in both:
            await each.standing(storage.outputs)
        assert [await each.standing(storage.outputs) for each in both] == [Standing.SHARED] * 2
        assert (await storage.outputs.get(MARK)).decode().split() == sorted([each._identity for each in both])

    async def test_the_owner_stops_when_somebody_joins(
        self, mine: SqliteStore, other: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        """The danger is not only the newcomer: to the owner, whatever the newcomer makes is an orphan."""
        clock = ManualClock()
        owner = await janitor(mine, given, storage, clock)
        await owner.sweep()
        newcomer = await janitor(other, given, storage, clock)
        await newcomer.sweep()
        key = await result(storage, "of-the-newcomer")
        await other.create("of-the-newcomer", spec(), labels={})
        clock.forward(seconds=LATER)
        assert await owner.sweep() == ()
        assert await storage.outputs.get(key)


class TestTheMark:
    async def test_an_empty_store_is_marked_and_then_swept(
        self, mine: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        clock = ManualClock()
        ours = await janitor(mine, given, storage, clock)
        assert await ours.sweep() == ()
        for store in (storage.inputs, storage.outputs):
            assert (await store.get(MARK)).decode() == f"{await mine.identity()}\n"
        await storage.inputs.put("tasks/default/lost/input", b"original")
        clock.forward(seconds=LATER)
        assert await ours.sweep() == ("lost",)
        assert await keys(storage) == {MARK}

    async def test_the_same_database_is_the_same_owner(self, tmp_path: Path, storage: Storage, given: Settings) -> None:
        """Also after a restart, and for a second process on the same file."""
        clock = ManualClock()
        async with SqliteStore(tmp_path / "v.db") as before:
            await (await janitor(before, given, storage, clock)).sweep()
        await result(storage, "lost")
        clock.forward(seconds=LATER)
        async with SqliteStore(tmp_path / "v.db") as after:
            assert await (await janitor(after, given, storage, clock)).sweep() == ("lost",)

    async def test_folders_without_a_mark_are_not_ours(
        self, mine: SqliteStore, storage: Storage, given: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = ManualClock()
        key = await result(storage, "of-somebody")
        ours = await janitor(mine, given, storage, clock)
        for _ in range(3):
            clock.forward(seconds=LATER)
            assert await ours.sweep() == ()
        assert await keys(storage) == {key, MARK}  # the input store was empty: that one is ours
        assert await storage.inputs.get(MARK)
        [said] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert storage.outputs.url in said
        assert await mine.identity() in said
        assert "of-somebody" in said

    async def test_folders_that_are_all_of_our_tasks_prove_it(
        self, mine: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        """An installation from before there were marks, or whose first task was quicker than its operator."""
        clock = ManualClock()
        await mine.create("a", spec(), labels={})
        await result(storage, "a")
        ours = await janitor(mine, given, storage, clock)
        await ours.sweep()
        await result(storage, "lost")
        clock.forward(seconds=LATER)
        assert await ours.sweep() == ("lost",)

    async def test_another_owner_is_named_once(
        self, mine: SqliteStore, storage: Storage, given: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        for store in (storage.inputs, storage.outputs):
            await store.put(MARK, b"somebody-else\n")
        key = await result(storage, "theirs")
        clock = ManualClock()
        ours = await janitor(mine, given, storage, clock)
        for _ in range(3):
            clock.forward(seconds=LATER)
            assert await ours.sweep() == ()
        assert await storage.outputs.get(key)
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == 2  # one for each store
        for line, store in zip(said, (storage.inputs, storage.outputs), strict=True):
            assert store.url in line
            assert "by installation somebody-else," in line
            assert (await store.get(MARK)).decode().split() == sorted(["somebody-else", await mine.identity()])
            assert await mine.identity() in line
            assert MARK in line

    async def test_only_the_store_that_is_ours_is_swept(
        self, mine: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        clock = ManualClock()
        await storage.outputs.put(MARK, b"somebody-else")
        ours = await janitor(mine, given, storage, clock)
        await ours.sweep()
        key = await result(storage, "x")
        await storage.inputs.put("tasks/default/x/input", b"original")
        clock.forward(seconds=LATER)
        assert await ours.sweep() == ("x",)
        assert await storage.outputs.get(key)
        assert await storage.inputs.below("tasks/default/x/") == []

    async def test_doing_what_the_warning_says_helps(
        self, mine: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        clock = ManualClock()
        await result(storage, "lost")
        ours = await janitor(mine, given, storage, clock)
        clock.forward(seconds=LATER)
        assert await ours.sweep() == ()
        await storage.outputs.put(MARK, f"{await mine.identity()}\n".encode())  # as an editor writes it
        assert await ours.sweep() == ("lost",)

    async def test_a_mark_that_goes_while_we_work_stops_the_sweeps(
        self, mine: SqliteStore, storage: Storage, given: Settings
    ) -> None:
        clock = ManualClock()
        ours = await janitor(mine, given, storage, clock)
        await ours.sweep()
        key = await result(storage, "lost")
        await storage.outputs.put(MARK, b"somebody-else")
        clock.forward(seconds=LATER)
        assert await ours.sweep() == ()
        assert await storage.outputs.get(key)

    async def test_each_namespace_has_its_own(self, mine: SqliteStore, storage: Storage) -> None:
        await storage.outputs.put("tasks/team-b/.owner", b"somebody-else")
        ours = Ownership(mine, "default", await mine.identity())
        assert await ours.standing(storage.outputs) is Standing.NEW
        assert await ours.standing(storage.outputs) is Standing.OURS

    async def test_no_identity_is_none(self, mine: SqliteStore) -> None:
        with pytest.raises(ValueError, match="identity"):
            Ownership(mine, "default", "")


async def test_identities_differ_and_last(tmp_path: Path, mine: SqliteStore, other: SqliteStore) -> None:
    identity = await mine.identity()
    assert len(identity) == 32
    assert identity != await other.identity()
    async with SqliteStore(tmp_path / "mine.db") as again:
        assert await again.identity() == identity


async def _complete(store: SqliteStore, name: str) -> bool:
    return (await store.get(name)).status.complete
