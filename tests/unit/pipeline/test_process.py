"""Memory of frames that are done with is kept for the next ones."""

import platform
import subprocess
import sys

import cv2
import pytest

from velum_pipeline import process

FRAMES, FRAME_BYTES = 20, 3 * 2**20
AGAIN = f"""
import resource
import sys

import numpy as np

from velum_pipeline import process

if sys.argv[1:]:
    process.prepare()


def frames():
    return [np.ones({FRAME_BYTES}, np.uint8) for _ in range({FRAMES})]


def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    frames()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


faults(), faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system's C library is not glibc")
def test_the_kernel_is_not_asked_again_for_the_memory_of_every_frame() -> None:
    pages = FRAMES * FRAME_BYTES // 4096
    assert _faults() > pages / 2, "glibc keeps it unasked: there is nothing left to do"
    assert _faults("prepared") < pages / 20


def test_opencv_starts_no_threads() -> None:
    before = cv2.getNumThreads()
    try:
        process.prepare()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def _faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", AGAIN, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)
