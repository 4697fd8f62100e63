"""The fence on the replica's side: nothing is written after a cancellation, nothing sealed is taken back."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from velum.errors import Unavailable
from velum.storage import BlobStore
from velum_serve.errors import Withdrawn
from velum_serve.folder import AttemptFolder

PREFIX = "tasks/default/t/attempts/u-1/"


class Gate(BlobStore):
    """A real folder whose writes wait at a gate, so that a test can act while they are under way."""

    def __init__(self, url: str, closed_for: str = "") -> None:
        super().__init__(url)
        self.closed_for = closed_for
        self.arrived = threading.Event()
        self.open = threading.Event()

    def put_now(self, key: str, data: bytes) -> None:
        if self.closed_for and key.endswith(self.closed_for):
            self.arrived.set()
            assert self.open.wait(10)
        super().put_now(key, data)


@pytest.fixture
def outputs(tmp_path: Path) -> Gate:
    return Gate((tmp_path / "out").as_uri())


async def keys(store: BlobStore) -> set[str]:
    return {blob.key.removeprefix(PREFIX) for blob in await store.below(PREFIX)}


async def begun(store: Gate) -> None:
    assert await asyncio.to_thread(store.arrived.wait, 10)


async def write_all(store: BlobStore, files: Mapping[str, bytes], seal: bool = True) -> None:
    async with AttemptFolder(store, PREFIX) as folder:
        await folder.write(files)
        if seal:
            await folder.seal("manifest.json", b"{}")


async def test_files_and_then_the_manifest(outputs: Gate) -> None:
    await write_all(outputs, {"a.jpg": b"a", "b.png": b"b"})
    assert await keys(outputs) == {"a.jpg", "b.png", "manifest.json"}
    assert await outputs.get(PREFIX + "a.jpg") == b"a"


async def test_nothing_to_write_is_no_error(outputs: Gate) -> None:
    await write_all(outputs, {}, seal=False)
    assert await keys(outputs) == set()


async def test_an_error_in_the_block_empties_the_folder(outputs: Gate) -> None:
    with pytest.raises(LookupError):
        async with AttemptFolder(outputs, PREFIX) as folder:
            await folder.write({"a.jpg": b"a"})
            raise LookupError
    assert await keys(outputs) == set()


async def test_another_attempts_folder_is_left_alone(outputs: Gate) -> None:
    neighbour = PREFIX.replace("u-1", "u-2") + "a.jpg"
    await outputs.put(neighbour, b"a")
    with pytest.raises(LookupError):
        async with AttemptFolder(outputs, PREFIX) as folder:
            await folder.write({"a.jpg": b"a"})
            raise LookupError
    assert await outputs.get(neighbour) == b"a"


async def test_an_error_after_sealing_takes_nothing_back(outputs: Gate) -> None:
    with pytest.raises(LookupError):
        async with AttemptFolder(outputs, PREFIX) as folder:
            await folder.write({"a.jpg": b"a"})
            await folder.seal("manifest.json", b"{}")
            raise LookupError
    assert await keys(outputs) == {"a.jpg", "manifest.json"}


async def test_cancelled_while_writing(outputs: Gate) -> None:
    """The write under way ends, and is removed; nothing comes after it."""
    outputs.closed_for = "a.jpg"
    task = asyncio.create_task(write_all(outputs, {"a.jpg": b"a", "b.png": b"b"}))
    await begun(outputs)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()  # it waits for the thread: afterwards nothing of it moves any more
    outputs.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(outputs) == set()


async def test_cancelled_twice_while_writing(outputs: Gate) -> None:
    outputs.closed_for = "a.jpg"
    task = asyncio.create_task(write_all(outputs, {"a.jpg": b"a"}))
    await begun(outputs)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    outputs.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(outputs) == set()


async def test_cancelled_while_the_manifest_is_on_its_way(outputs: Gate) -> None:
    """From here on somebody may have seen it: it stays, whole."""
    outputs.closed_for = "manifest.json"
    task = asyncio.create_task(write_all(outputs, {"a.jpg": b"a"}))
    await begun(outputs)
    task.cancel()
    outputs.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(outputs) == {"a.jpg", "manifest.json"}


@pytest.mark.parametrize("seal", [False, True])
async def test_a_closed_folder_takes_nothing(outputs: Gate, seal: bool) -> None:
    async with AttemptFolder(outputs, PREFIX) as folder:
        folder.close()
        with pytest.raises(Withdrawn, match="cancelled"):
            await (folder.seal("manifest.json", b"{}") if seal else folder.write({"a.jpg": b"a"}))
    assert await keys(outputs) == set()


async def test_a_write_that_fails_withdraws_the_others(outputs: Gate, tmp_path: Path) -> None:
    blocked = tmp_path / "out" / PREFIX / "b.png"
    blocked.mkdir(parents=True)  # a folder where the file should go
    (blocked / "in-the-way").write_text("x")
    with pytest.raises(Unavailable):
        await write_all(outputs, {"a.jpg": b"a", "b.png": b"b"})
    assert not await keys(outputs) & {"a.jpg", "b.png", "manifest.json"}


async def test_a_folder_that_cannot_be_emptied_does_not_hide_the_error(
    outputs: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(prefix: str) -> int:
        raise Unavailable("storage", prefix)

    monkeypatch.setattr(outputs, "remove", gone)
    with pytest.raises(LookupError):
        async with AttemptFolder(outputs, PREFIX) as folder:
            await folder.write({"a.jpg": b"a"})
            raise LookupError
    assert "could not empty" in caplog.text
