"""How far a video is: never less than before, never too often, and with an estimate as soon as there can be one."""

from velum.tasks.order import Progress
from velum_serve.videos.progress import Meter

MKV = "video/x-matroska"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def metered(of: int, done: int = 0) -> tuple[Meter, Clock, list[Progress]]:
    clock, heard = Clock(), list[Progress]()
    return Meter(MKV, of, done, heard.append, clock), clock, heard


def test_the_first_word_comes_at_once_and_knows_no_end() -> None:
    _, _, heard = metered(1000, 300)
    assert heard == [Progress(300, 1000, None, 300, MKV)]


def test_runs_add_up_and_the_estimate_is_of_this_attempt() -> None:
    meter, clock, heard = metered(1000, 300)
    clock.now += 10
    meter.at("a", 60)
    clock.now += 10
    meter.at("b", 40)
    assert heard[1:] == [
        Progress(360, 1000, 640 * 10 / 60, 300, MKV),
        Progress(400, 1000, 600 * 20 / 100, 300, MKV),
    ]


def test_within_a_second_and_within_a_percent_nothing_is_told() -> None:
    meter, clock, heard = metered(1000)
    clock.now += 0.5
    meter.at("a", 500)
    assert len(heard) == 1
    clock.now += 1
    meter.at("a", 509)
    assert heard[-1].frames == 509
    clock.now += 1
    meter.at("a", 509)
    meter.at("a", 509)
    assert len(heard) == 2
    clock.now += 9
    meter.at("a", 509)
    assert len(heard) == 3


def test_a_run_that_was_lost_takes_nothing_back() -> None:
    meter, clock, heard = metered(100)
    clock.now += 2
    meter.at("a", 50)
    clock.now += 2
    meter.end("a", 10)
    clock.now += 20
    meter.at("b", 5)
    assert [each.frames for each in heard] == [0, 50, 50]
    clock.now += 2
    meter.at("b", 90)
    assert heard[-1].frames == 100


def test_more_than_all_is_all() -> None:
    """A damaged part is done again after everything was done."""
    meter, clock, heard = metered(100)
    clock.now += 2
    meter.end("a", 100)
    clock.now += 20
    meter.end("b", 10)
    assert heard[-1] == Progress(100, 100, 0.0, media_type=MKV)
