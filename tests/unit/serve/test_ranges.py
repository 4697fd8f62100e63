"""Blobs as files: the same bytes wherever one reads, a bounded number of them held, and no failure taken for an end."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum.errors import NotFound, Unavailable
from velum.storage import BlobStore
from velum_pipeline.errors import Cancelled
from velum_serve.ranges import KEPT, Ranges

DATA = bytes(range(251)) * 40


class Counting(BlobStore):
    """A real folder that counts what is read of it, and is away when told."""

    away = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.read: list[int] = []

    def range_now(self, key: str, start: int, end: int) -> bytes:
        if self.away:
            raise Unavailable("storage", "away")
        self.read.append(start)
        return super().range_now(key, start, end)


@pytest.fixture(scope="module")
def ahead() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Counting:
    made = Counting(tmp_path_factory.mktemp("ranges").as_uri())
    made.put_now("a", DATA)
    return made


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    made = Counting(tmp_path.as_uri())
    made.put_now("a", DATA)
    return made


@pytest.fixture
def ranges(store: Counting, ahead: ThreadPoolExecutor) -> Ranges:
    return Ranges(store, "a", len(DATA), ahead, block=1000)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 4000)),
        st.tuples(st.just("start"), st.integers(0, len(DATA) + 500)),
        st.tuples(st.just("end"), st.integers(-len(DATA), 500)),
        st.tuples(st.just("step"), st.integers(0, 3000)),
    ),
    max_size=30,
)


@given(steps)
def test_it_reads_as_a_file_does(shared: Counting, ahead: ThreadPoolExecutor, taken: list[tuple[str, int]]) -> None:
    whence = {"start": io.SEEK_SET, "step": io.SEEK_CUR, "end": io.SEEK_END}
    file = io.BytesIO(DATA)
    with Ranges(shared, "a", len(DATA), ahead, block=1000).open() as reader:
        for what, number in taken:
            if what == "read":
                assert reader.read(number) == file.read(number)
            else:
                assert reader.seek(number, whence[what]) == file.seek(number, whence[what])
            assert reader.tell() == file.tell()


def test_reading_on_fetches_each_block_once(ranges: Ranges, store: Counting) -> None:
    with ranges.open() as reader:
        while reader.read(70):
            pass
    assert sorted(store.read) == list(range(0, len(DATA), 1000))


def test_only_a_few_blocks_are_held(ranges: Ranges) -> None:
    reader = ranges.open()
    for number in [*range(10), 3, 7, 2, 9]:
        reader.seek(number * 1000)
        reader.read(1)
        raw = reader.raw  # type: ignore[attr-defined]
        assert len(raw._blocks) <= KEPT
    reader.close()


def test_two_readers_do_not_know_each_other(ranges: Ranges) -> None:
    with ranges.open() as one, ranges.open() as other:
        one.seek(5000)
        assert other.read(10) == DATA[:10]
        assert one.read(10) == DATA[5000:5010]


def test_a_store_that_is_away_is_not_the_end_of_the_file(ranges: Ranges, store: Counting) -> None:
    """A demuxer may swallow what `read` raises; `check` remembers."""
    with ranges.open() as reader:
        assert reader.read(10) == DATA[:10]
        ranges.check()
        store.away = True
        try:
            with pytest.raises(Unavailable):
                reader.seek(7000)
                reader.read(10)
        finally:
            store.away = False
        assert reader.read(10) == DATA[7000:7010]
    with pytest.raises(Unavailable):
        ranges.check()
    for error in (None, LookupError("the file ends too early")):
        with pytest.raises(Unavailable), ranges.trusted():
            if error is not None:
                raise error


def test_who_is_not_wanted_any_more_reads_no_more(ranges: Ranges) -> None:
    stop = [False]
    with ranges.opener(lambda: stop[0])() as reader:
        assert reader.read(10) == DATA[:10]
        stop[0] = True
        reader.seek(5000)
        with pytest.raises(Cancelled), ranges.trusted():
            reader.read(10)
    ranges.check()


def test_without_a_failed_read_errors_are_what_they_are(ranges: Ranges) -> None:
    with pytest.raises(LookupError), ranges.trusted():
        raise LookupError
    with ranges.trusted():
        pass


def test_a_block_that_failed_in_advance_is_remembered_too(ranges: Ranges, store: Counting) -> None:
    with ranges.open() as reader:
        store.away = True
        raw = reader.raw  # type: ignore[attr-defined]
        raw._blocks[1] = ranges.fetch_ahead(1)
        raw._blocks[1].exception()
        store.away = False
        with pytest.raises(Unavailable):
            ranges.check()


def test_a_blob_that_is_gone(tmp_path: Path, ahead: ThreadPoolExecutor) -> None:
    ranges = Ranges(BlobStore(tmp_path.as_uri()), "none", 10, ahead)
    with pytest.raises(NotFound), ranges.open() as reader:
        reader.read(1)
    with pytest.raises(NotFound):
        ranges.check()
