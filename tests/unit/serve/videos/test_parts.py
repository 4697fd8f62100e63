"""Finished segments: whole or not there, of one hand, of this plan, and of the attempt that may write."""

import secrets
from pathlib import Path

import pytest

from velum.storage import BlobStore
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.segments import Segment
from velum_serve.errors import Withdrawn
from velum_serve.videos.parts import DOCUMENT, DamagedPart, Parts
from velum_serve.videos.plan import OWNER, Fence, Plan, new_plan

WORK = "tasks/default/t/work/u/"
SEGMENTS = [Segment(number, 10 * number, 10 * number + 10) for number in range(4)]


def going_on() -> bool:
    """Nobody has stopped."""
    return False


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore((tmp_path / "out").as_uri())


@pytest.fixture
def plan() -> Plan:
    return new_plan("wishes", SEGMENTS)


@pytest.fixture
def parts(store: BlobStore, plan: Plan) -> Parts:
    return Parts(store, WORK, plan)


@pytest.fixture
async def fence(store: BlobStore) -> Fence:
    fence = Fence(store, WORK, 1)
    await fence.claim()
    return fence


def made(folder: Path, *, video: bool = True, frames: int = 10) -> SegmentResult:
    """Files that look like a segment's to a store."""
    records, path = folder / "a.jsonl", folder / "a.nut"
    records.write_bytes(b"{}\n" * frames)
    path.write_bytes(secrets.token_bytes(3_000_000))
    return SegmentResult(path if video else None, records, b'{"0": {}}', frames, 10 - frames)


async def test_what_was_saved_is_found_and_fetched(parts: Parts, fence: Fence, tmp_path: Path) -> None:
    result = made(tmp_path, frames=9)
    parts.save(SEGMENTS[2], result, fence, going_on)
    found = await parts.finished()
    assert set(found) == {2}
    assert await parts.of([0, 1, 2]) == found
    part = found[2]
    assert (part.frames, part.skipped) == (9, 1)
    (tmp_path / "fetched").mkdir()
    fetched = parts.fetch(part, tmp_path / "fetched", going_on)
    assert fetched.video is not None
    assert result.path is not None
    assert fetched.video.read_bytes() == result.path.read_bytes()
    assert fetched.records.read_bytes() == result.records.read_bytes()
    assert fetched.tracks == b'{"0": {}}'


async def test_a_segment_without_video(parts: Parts, fence: Fence, tmp_path: Path) -> None:
    parts.save(SEGMENTS[0], made(tmp_path, video=False), fence, going_on)
    part = (await parts.finished())[0]
    assert part.video is None
    assert parts.fetch(part, tmp_path, going_on).video is None


async def test_parts_of_another_plan_do_not_count(store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path) -> None:
    other = Parts(store, WORK, new_plan("wishes", SEGMENTS))
    other.save(SEGMENTS[0], made(tmp_path), fence, going_on)
    assert await parts.finished() == {}
    assert await parts.of([0]) == {}


async def test_what_is_no_document_does_not_count(store: BlobStore, parts: Parts) -> None:
    await store.put(WORK + "part-00001.json", b'{"plan": 3}')
    await store.put(WORK + "part-00002.json", b"\xff")
    assert await parts.finished() == {}


async def test_a_file_that_is_gone_or_short_is_noticed_at_once(
    store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path
) -> None:
    for segment in SEGMENTS[:2]:
        parts.save(segment, made(tmp_path), fence, going_on)
    found = await parts.finished()
    assert found[0].video is not None
    await store.put(found[0].video.key, b"short")
    (tmp_path / "out" / found[1].records.key).unlink()
    assert await parts.finished() == {}


@pytest.mark.parametrize("which", ["video", "records", "tracks"])
async def test_a_damaged_file_is_noticed_when_it_is_read(
    which: str, store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path
) -> None:
    parts.save(SEGMENTS[3], made(tmp_path), fence, going_on)
    part = (await parts.finished())[3]
    key = getattr(part, which).key
    data = bytearray(await store.get(key))
    data[-1] ^= 1
    await store.put(key, bytes(data))
    assert set(await parts.finished()) == {3}
    with pytest.raises(DamagedPart, match="segment 3") as caught:
        parts.fetch(part, tmp_path, going_on)
    assert caught.value.number == 3


async def test_done_by_two_the_later_one_counts_whole(parts: Parts, fence: Fence, tmp_path: Path) -> None:
    """A run that was thought lost ends after the one that replaced it."""
    parts.save(SEGMENTS[0], made(tmp_path), fence, going_on)
    first = (await parts.finished())[0]
    later = made(tmp_path)
    parts.save(SEGMENTS[0], later, fence, going_on)
    second = (await parts.finished())[0]
    assert {file.key for file in first.files}.isdisjoint({file.key for file in second.files})
    (tmp_path / "fetched").mkdir()
    fetched = parts.fetch(second, tmp_path / "fetched", going_on)
    assert fetched.video is not None
    assert later.path is not None
    assert fetched.video.read_bytes() == later.path.read_bytes()


async def test_an_attempt_that_was_replaced_writes_nothing(
    store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path
) -> None:
    await Fence(store, WORK, 2).claim()
    with pytest.raises(Withdrawn, match="segment 1"):
        parts.save(SEGMENTS[1], made(tmp_path), fence, going_on)
    assert {blob.key for blob in await store.below(WORK)} == {WORK + OWNER}


async def test_when_the_work_folder_is_gone_nothing_comes_back(
    store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path
) -> None:
    await store.remove(WORK)
    with pytest.raises(Withdrawn):
        parts.save(SEGMENTS[1], made(tmp_path), fence, going_on)
    assert await store.below(WORK) == []


@pytest.mark.parametrize("after", range(6))
async def test_stopped_anywhere_no_document_is_written(
    after: int, store: BlobStore, parts: Parts, fence: Fence, tmp_path: Path
) -> None:
    asked = [0]

    def stopped() -> bool:
        asked[0] += 1
        return asked[0] > after

    with pytest.raises(Withdrawn):
        parts.save(SEGMENTS[1], made(tmp_path), fence, stopped)
    assert not [blob for blob in await store.below(WORK) if DOCUMENT.search(blob.key)]
