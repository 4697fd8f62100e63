"""What a file can suffer: other processes, kills, full disks, damage, newer versions; and what must not be in it."""

import asyncio
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, closing, contextmanager
from pathlib import Path

import pytest

from support.samples import ManualClock, model_spec, spec, task
from support.storeport.steps import HEADER, PATIENCE, WEBHOOK, Seen, made, moved, removed
from velum.api.meta import new_name
from velum.api.status import Phase
from velum.errors import Conflict, Unavailable
from velum.tasks.sqlite import SqliteStore, migrations, records, tail

CREATOR = """
import asyncio, sys
from pathlib import Path
from velum.api.meta import new_name
from velum.api.task import TaskSpec
from velum.tasks.sqlite import SqliteStore

async def main():
    spec = TaskSpec.model_validate({"source": {"object": {"key": "a"}}, "classes": {"face": {}}})
    async with SqliteStore(Path(sys.argv[1])) as store:
        while True:
            print((await store.create(new_name(), spec, labels={})).name, flush=True)

asyncio.run(main())
"""

COUNTER = """
import asyncio, sys
from pathlib import Path
from velum.errors import Conflict
from velum.tasks.sqlite import SqliteStore

async def main():
    path, name, times = sys.argv[1:]
    async with SqliteStore(Path(path)) as store:
        done = 0
        while done < int(times):
            task = await store.get(name)
            try:
                await store.write_status(task, task.status.model_copy(update={"attempt": task.status.attempt + 1}))
                done += 1
            except Conflict:
                pass

asyncio.run(main())
"""

CRAMPED = """
import asyncio, resource, signal, sys
from pathlib import Path
from velum.api.meta import new_name
from velum.api.task import TaskSpec
from velum.errors import Unavailable
from velum.tasks.sqlite import SqliteStore

async def main():
    spec = TaskSpec.model_validate({"source": {"object": {"key": "a" * 1000}}, "classes": {"face": {}}})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with SqliteStore(Path(sys.argv[1])) as store:
        names = [(await store.create(new_name(), spec, labels={})).name]
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            for _ in range(1000):
                names.append((await store.create(new_name(), spec, labels={})).name)
        except Unavailable as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        names.append((await store.create(new_name(), spec, labels={})).name)
        kept = [task.name for task in (await store.list(limit=2000)).tasks]
        print("kept" if kept == names else f"{len(names)} accepted, {len(kept)} kept")

asyncio.run(main())
"""


def process(script: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *map(str, args)], stdout=subprocess.PIPE, text=True)


@contextmanager
def processes(count: int, script: str, *args: object) -> Iterator[list[subprocess.Popen[str]]]:
    """Several at once; whatever happens, none is left."""
    running = [process(script, *args) for _ in range(count)]
    try:
        yield running
    finally:
        for each in running:
            each.kill()
            each.communicate()


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tasks.db"


class TestProcesses:
    async def test_what_was_accepted_survives_a_kill(self, path: Path) -> None:
        with process(CREATOR, path) as creator:
            assert creator.stdout is not None
            accepted = [creator.stdout.readline().strip() for _ in range(25)]
            creator.send_signal(signal.SIGKILL)
            accepted += creator.stdout.read().split()
        async with SqliteStore(path) as store:
            kept = {task.name for task in (await store.list(limit=1000)).tasks}
            assert set(accepted) <= kept
            assert len(kept) - len(accepted) <= 1  # one may have been written and not yet told

    async def test_three_processes_lose_no_update(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            counted = await made(store)
            with processes(3, COUNTER, path, counted.name, 20) as counters:
                async with aclosing(store.watch()) as events:
                    seen = Seen(events, lambda event: event.task)
                    await seen.until(
                        lambda s: counted.name in s.present and s.present[counted.name].status.attempt == 60
                    )
                assert [counter.wait(PATIENCE) for counter in counters] == [0, 0, 0]

    async def test_many_open_a_new_file_at_once(self, path: Path) -> None:
        stores = [SqliteStore(path) for _ in range(8)]
        try:
            await asyncio.gather(*(made(store) for store in stores))
            assert len((await stores[0].list()).tasks) == 8
        finally:
            await asyncio.gather(*(store.aclose() for store in stores))


class TestTrouble:
    async def test_a_lock_that_stays_is_named(self, path: Path) -> None:
        async with SqliteStore(path, busy_seconds=0.05) as store:
            kept = await made(store)
            with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
                somebody.execute("BEGIN IMMEDIATE")
                with pytest.raises(Unavailable, match=r"task database is unavailable: .*locked"):
                    await made(store)
                assert await store.get(kept.name) == kept  # readers do not wait for writers
            await made(store)

    def test_a_full_disk_is_named_and_survived(self, path: Path) -> None:
        with process(CRAMPED, path) as cramped:
            said, _ = cramped.communicate(timeout=PATIENCE)
        first, *rest = said.splitlines()
        assert first.startswith("task database is unavailable:")
        assert rest == ["kept"]

    @pytest.mark.parametrize("junk", [b"this is no database " * 100, b"SQLite format 3\0" + b"\xff" * 5000])
    async def test_damage_is_named_and_left_alone(self, path: Path, junk: bytes) -> None:
        put(path, junk)
        async with SqliteStore(path) as store:
            with pytest.raises(Unavailable, match="task database"):
                await store.check()
            with pytest.raises(Unavailable, match="task database"):
                await anext(store.watch())
        assert content(path) == junk

    async def test_damage_does_not_outlast_its_repair(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            kept = await made(store)
        good = content(path)
        put(path, b"\0" * 100 + good[100:])
        async with SqliteStore(path) as store:
            with pytest.raises(Unavailable):
                await store.get(kept.name)
            put(path, good)
            assert await store.get(kept.name) == kept

    async def test_a_newer_file_is_refused_and_left_alone(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            await made(store)
        with closing(sqlite3.connect(path)) as newer:
            newer.execute("PRAGMA user_version = 99")
        async with SqliteStore(path) as store:
            with pytest.raises(Unavailable, match=r"newer Velum \(schema 99, this one knows \d+\); upgrade"):
                await store.check()
        with closing(sqlite3.connect(path)) as newer:
            assert newer.execute("PRAGMA user_version").fetchone() == (99,)

    async def test_what_a_newer_version_wrote_hides_no_other(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with SqliteStore(path) as store:
            strange, plain = await made(store), await made(store)
            await store.put_model("strange", model_spec())
            default = await store.put_model("default", model_spec())
            with closing(sqlite3.connect(path)) as newer:
                newer.execute('UPDATE records SET status = \'{"phase": "Dreaming"}\' WHERE name = ?', (strange.name,))
                newer.execute("UPDATE records SET spec = '{}' WHERE name = 'strange'")
                newer.commit()
            assert (await store.list()).tasks == (plain,)
            assert await store.list_models() == (default,)
            with pytest.raises(Unavailable, match=f"AnonymizationTask {strange.name} cannot be read by this version"):
                await store.get(strange.name)
            with pytest.raises(Unavailable, match="AnonymizationModel strange cannot be read by this version"):
                await store.get_model("strange")
            assert f"AnonymizationTask {strange.name} cannot be read" in caplog.text
            repaired = await store.put_model("strange", model_spec())
            assert await store.get_model("strange") == repaired

    async def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        put(tmp_path / "data", b"a file")
        async with SqliteStore(tmp_path / "data" / "tasks.db") as store:
            with pytest.raises(Unavailable, match="data"):
                await store.check()

    async def test_a_closed_store_says_so(self, path: Path) -> None:
        store = SqliteStore(path)
        await store.check()
        await store.aclose()
        await store.aclose()
        with pytest.raises(Unavailable, match="closed"):
            await store.check()

    async def test_closing_ends_every_watch(self, path: Path) -> None:
        store = SqliteStore(path)
        await made(store)
        events = store.watch()
        await anext(events)
        waiting = asyncio.ensure_future(anext(events, "ended"))
        await asyncio.sleep(0)
        await store.aclose()
        assert await waiting == "ended"


class TestMigrations:
    def test_a_step_that_fails_leaves_nothing(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        good = migrations.steps()
        monkeypatch.setattr(migrations, "steps", lambda: (*good, "CREATE TABLE more (x);\nCREATE TABLE records (x);"))
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            with pytest.raises(sqlite3.OperationalError, match="already exists"):
                migrations.migrate(connection, "memory")
            assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
            assert connection.execute("PRAGMA user_version").fetchone() == (0,)

    def test_later_steps_follow_what_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        good = migrations.steps()
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrations.migrate(connection, "memory")
            connection.execute("UPDATE sequence SET last = 7")
            monkeypatch.setattr(migrations, "steps", lambda: (*good, "ALTER TABLE sequence ADD COLUMN note TEXT;"))
            migrations.migrate(connection, "memory")
            migrations.migrate(connection, "memory")
            assert connection.execute("SELECT last, note FROM sequence").fetchall() == [(7, None)]
            assert connection.execute("PRAGMA user_version").fetchone() == (len(good) + 1,)


class TestTail:
    async def test_a_reader_that_slept_too_long_lists_again(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "TOMBSTONES_KEPT", 2)
        async with SqliteStore(path) as store, SqliteStore(path) as sleeper:
            gone = [await made(store) for _ in range(6)]
            left = await made(store)
            async with aclosing(sleeper.watch()) as events:
                seen = await Seen(events, lambda event: event.task).until(lambda s: len(s.present) == 7)
                monkeypatch.setattr(tail, "POLL_SECONDS", 3600)  # asleep from the next round on
                await moved(sleeper, left, Phase.RUNNING)
                await seen.until(lambda s: s.present[left.name].status.phase is Phase.RUNNING)
                for each in gone:
                    await removed(store, each)
                await sleeper.put_model("default", model_spec())  # it wakes: a write of its own
                await seen.until(lambda s: list(s.present) == [left.name])
                assert sorted(entry for entry in seen.log if entry[0] == "gone") == sorted(
                    ("gone", each.name, each.metadata.uid) for each in gone
                )

    async def test_a_database_put_back_from_a_copy_is_noticed(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            old = await made(store)
        copy_database(path, path.with_name("copy.db"))
        async with SqliteStore(path) as store:
            new = await made(store)
            async with aclosing(store.watch()) as events:
                seen = await Seen(events, lambda event: event.task).until(lambda s: new.name in s.present)
                copy_database(path.with_name("copy.db"), path)
                await seen.until(lambda s: list(s.present) == [old.name])

    async def test_a_record_of_a_newer_version_hides_no_other(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            strange, plain = await made(store), await made(store)
            async with aclosing(store.watch()) as events:
                seen = await Seen(events, lambda event: event.task).until(lambda s: len(s.present) == 2)
                with closing(sqlite3.connect(path)) as newer:
                    newer.execute("UPDATE sequence SET last = last + 1")
                    newer.execute(
                        'UPDATE records SET status = \'{"phase": "Dreaming"}\', seq = (SELECT last FROM sequence)'
                        " WHERE name = ?",
                        (strange.name,),
                    )
                    newer.commit()
                running = await moved(store, plain, Phase.RUNNING)
                await seen.until(lambda s: s.present[plain.name] == running)


class TestPrivacy:
    async def test_the_file_is_for_its_owner_only(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
            assert modes(path.parent) == {"tasks.db": 0o600, "tasks.db-shm": 0o600, "tasks.db-wal": 0o600}

    async def test_a_removed_task_leaves_no_trace(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            private = await store.create(
                new_name(), spec(filename="my-face.jpg", webhook=WEBHOOK), labels={}, header=HEADER
            )
            await store.record_event(private, "Normal", "Started", "my-message")
            await removed(store, private)
        found = content(path)
        for trace in (HEADER.value.encode(), b"my-face", b"my-message"):
            assert trace not in found

    async def test_events_are_kept_and_bounded(self, path: Path) -> None:
        async with SqliteStore(path, ManualClock()) as store:
            noisy = await made(store)
            for number in range(60):
                await store.record_event(noisy, "Normal", "Started", str(number))
            assert [message for _, _, message in await store.events(noisy)] == [str(n) for n in range(10, 60)]

    async def test_a_task_of_nowhere_cannot_be_written(self, path: Path) -> None:
        async with SqliteStore(path) as store:
            await made(store, "one")
            with pytest.raises(Conflict):
                await moved(store, task(), Phase.RUNNING)
