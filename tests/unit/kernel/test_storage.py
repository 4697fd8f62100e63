"""Blobs in a real folder: whole or not at all, on disk when the call returns, and errors that say what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from velum.errors import InvalidInput, NotFound, Unavailable
from velum.storage import BlobStore, Storage


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(f"file://{tmp_path}/blobs")


async def collect(store: BlobStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.stream(key, start, end)])


async def test_what_is_put_is_got(store: BlobStore) -> None:
    await store.put("a/b/c.jpg", b"pixels")
    assert await store.get("a/b/c.jpg") == b"pixels"
    head = await store.head("a/b/c.jpg")
    assert (head.key, head.size) == ("a/b/c.jpg", 6)


async def test_put_replaces_whole(store: BlobStore) -> None:
    await store.put("k", b"a much longer first version")
    await store.put("k", b"short")
    assert await store.get("k") == b"short"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (9 << 20) + 17])
async def test_writer_and_stream_carry_any_size(store: BlobStore, size: int) -> None:
    data = os.urandom(size)
    async with store.writer("big") as writer:
        for start in range(0, size, 700_001):
            await writer.write(data[start : start + 700_001])
    assert writer.size == size
    assert await collect(store, "big") == data


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(span=st.tuples(st.integers(0, 999), st.integers(0, 999)).map(sorted))
async def test_ranges_are_slices(store: BlobStore, span: list[int]) -> None:
    start, end = span[0], span[1] + 1
    data = bytes(index % 251 for index in range(1000))
    await store.put("ranged", data)
    assert await collect(store, "ranged", start, end) == data[start:end]
    assert await collect(store, "ranged", start) == data[start:]


async def test_an_interrupted_write_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    class LostError(Exception):
        pass

    with pytest.raises(LostError):
        async with store.writer("t/x") as writer:
            await writer.write(b"x" * (20 << 20))
            raise LostError
    with pytest.raises(NotFound):
        await store.get("t/x")
    assert [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()] == []


async def test_an_interrupted_write_keeps_the_old_version(store: BlobStore) -> None:
    await store.put("k", b"old")
    with pytest.raises(RuntimeError):
        async with store.writer("k") as writer:
            await writer.write(b"new")
            raise RuntimeError
    assert await store.get("k") == b"old"


async def test_remove_takes_the_folder_and_nothing_beside_it(store: BlobStore, tmp_path: Path) -> None:
    for key in ("tasks/ns/a/input", "tasks/ns/a/attempts/u-1/x", "tasks/ns/ab/input", "other"):
        await store.put(key, b"1")
    assert await store.remove("tasks/ns/a/") == 2
    assert [blob.key for blob in await store.below("tasks/")] == ["tasks/ns/ab/input"]
    assert not (tmp_path / "blobs/tasks/ns/a").exists()
    assert await store.get("other") == b"1"


async def test_remove_of_nothing_is_fine(store: BlobStore) -> None:
    assert await store.remove("tasks/ns/none/") == 0


async def test_folders_are_one_level(store: BlobStore) -> None:
    for key in ("tasks/ns/a/input", "tasks/ns/b/x/y", "tasks/ns/file"):
        await store.put(key, b"1")
    assert await store.folders("tasks/ns/") == ["a", "b"]


async def test_copy_between_stores(store: BlobStore, tmp_path: Path) -> None:
    other = BlobStore(f"file://{tmp_path}/other")
    await store.put("a", b"1" * 3_000_000)
    await store.copy_to("a", other, "clean/a")
    assert len(await other.get("clean/a")) == 3_000_000
    with pytest.raises(NotFound):
        await store.copy_to("missing", other, "clean/b")
    with pytest.raises(NotFound):
        await other.head("clean/b")


@pytest.mark.parametrize("key", ["../escape", "a/../../b", "a/./b"])
async def test_keys_cannot_leave_the_store(store: BlobStore, key: str) -> None:
    with pytest.raises(InvalidInput, match="key"):
        await store.put(key, b"x")


async def test_missing_blob_is_named(store: BlobStore) -> None:
    with pytest.raises(NotFound, match="'no/such'"):
        await store.get("no/such")
    with pytest.raises(NotFound):
        await collect(store, "no/such")


async def test_storage_gone_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    store = BlobStore(f"file://{folder}")
    await store.check()
    folder.rmdir()
    folder.write_text("a file where the folder was")
    with pytest.raises(Unavailable, match="storage is unavailable"):
        await store.check()
    with pytest.raises(Unavailable):
        await store.put("a/b", b"1")


def test_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidInput, match="storage"):
        BlobStore("gopher://example/x")


async def test_both_stores_of_a_task_are_emptied(tmp_path: Path) -> None:
    storage = Storage.open(f"file://{tmp_path}/in", f"file://{tmp_path}/out")
    await storage.inputs.put("tasks/ns/a/input", b"1")
    await storage.outputs.put("tasks/ns/a/attempts/u-1/manifest.json", b"{}")
    assert await storage.remove("tasks/ns/a/") == 2
    await storage.check()


def test_the_process_ends_cleanly_after_using_storage(tmp_path: Path) -> None:
    """obstore's asyncio flavour aborted here (exit code 134) about every second time."""
    program = (
        "import asyncio, sys\n"
        "from velum.storage import BlobStore\n"
        "async def main():\n"
        "    store = BlobStore(sys.argv[1])\n"
        "    await store.put('k', b'1' * 5_000_000)\n"
        "    async for chunk in store.stream('k'): pass\n"
        "asyncio.run(main())\n"
    )
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program, f"file://{tmp_path}"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
