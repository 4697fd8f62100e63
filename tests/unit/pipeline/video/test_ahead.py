"""Working ahead: the same items and errors, a bounded lead, and no thread left behind."""

import threading
import time
from collections.abc import Generator

import pytest

from velum_pipeline.video.ahead import ahead


def counting(made: list[int], stop: int, closed: threading.Event | None = None) -> Generator[int, None, None]:
    try:
        for number in range(stop):
            made.append(number)
            yield number
    finally:
        if closed is not None:
            closed.set()


def test_gives_all_items_in_order() -> None:
    with ahead(counting([], 50), 3, "counter") as items:
        assert list(items) == list(range(50))


def test_makes_no_more_than_its_lead() -> None:
    made: list[int] = []
    with ahead(counting(made, 1000), 3, "counter") as items:
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        # One was taken, three wait, and the thread holds the next in its hand.
        assert len(made) == 5


def test_raises_the_generators_error_where_its_item_would_be() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the second")

    with ahead(failing(), 3, "failing") as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="the second"):
            next(items)


def test_closes_the_generator_and_ends_the_thread_when_left_early() -> None:
    closed = threading.Event()
    with ahead(counting([], 10_000, closed), 2, "left-early") as items:
        next(items)
    assert closed.is_set()
    assert not [each for each in threading.enumerate() if each.name == "left-early"]


def test_ends_the_thread_after_an_error_of_the_user() -> None:
    closed = threading.Event()
    with pytest.raises(RuntimeError), ahead(counting([], 10_000, closed), 2, "user-error") as items:
        next(items)
        raise RuntimeError
    assert closed.is_set()
    assert not [each for each in threading.enumerate() if each.name == "user-error"]


def test_chains() -> None:
    def doubled(items: "Generator[int, None, None]") -> Generator[int, None, None]:
        for item in items:
            yield 2 * item

    with ahead(counting([], 20), 2, "first") as first, ahead(doubled(first), 2, "second") as second:
        assert list(second) == [2 * number for number in range(20)]
