"""No encoder leaves threads of real-time priority behind: as root SVT-AV1 starves a machine with them."""

import os
import threading
from pathlib import Path

import pytest

from support.redsquares import Square, made
from velum_pipeline.video.encoder import SegmentWriter, require
from velum_pipeline.video.encoding import CODECS, Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded
from velum_pipeline.video.scheduling import TASKS, ordinary_scheduling

linux = pytest.mark.skipif(not TASKS.is_dir(), reason="threads' priorities are looked up in Linux's /proc")


def real_time() -> list[int]:
    threads = [int(entry.name) for entry in TASKS.iterdir()]
    return [thread for thread in threads if os.sched_getscheduler(thread) in {os.SCHED_FIFO, os.SCHED_RR}]


def become_real_time() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("only root may have real-time priority")


@linux
def test_takes_back_what_was_got_inside() -> None:
    with ordinary_scheduling():
        become_real_time()
        waiting = threading.Event()
        thread = threading.Thread(target=waiting.wait)
        thread.start()  # inherits it
        assert len(real_time()) == 2
    assert real_time() == []
    waiting.set()
    thread.join()


@linux
def test_leaves_what_was_so_before() -> None:
    become_real_time()
    try:
        with ordinary_scheduling():
            pass
        assert len(real_time()) == 1
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@linux
@pytest.mark.parametrize("codec", sorted(name for name in CODECS if "nvenc" not in name))
def test_encoders_leave_none(codec: str, tmp_path: Path) -> None:
    source = made(tmp_path / "source.mp4", [Square(4, 10, 0.6, 0.1)], 5)
    video = probe(lambda: source.open("rb"))
    require(codec)
    assert real_time() == []
    with SegmentWriter(tmp_path / "part.nut", video, Encoding(codec, CODECS[codec].presets[0]), 1) as writer:
        for each in decoded(lambda: source.open("rb"), video, 0, 5):
            writer.write(each.frame)
            assert real_time() == []
    assert real_time() == []
