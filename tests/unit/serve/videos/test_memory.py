"""An attempt's memory does not grow with the video's length: plan, parts, join and upload included."""

import os
import subprocess
import sys
from pathlib import Path

from support.redsquares import RATE, Square, looped, made

PROGRAM = """
import asyncio, resource, sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from support.redsquares import looking_for_red
from support.serving import order, storage, tools
from velum.tasks.order import Succeeded
from velum_serve.attempt import run_attempt
from velum_serve.source import SourceLimits
from velum_serve.videos.cutting import Lengths

async def detect(pixels, options):
    return looking_for_red([pixels], options)[0]

async def main(folder):
    stores = storage(folder)
    with ThreadPoolExecutor(2) as threads:
        given = tools(stores, threads, detect)
        videos = replace(given.videos, segment_frames=100, lengths=Lengths(500, 500))
        given = replace(given, videos=videos, source=SourceLimits(1 << 30))
        outcome = await run_attempt(order(source={"object": {"key": "film"}}), given)
    assert isinstance(outcome, Succeeded), outcome
    print(outcome.manifest.result.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main(Path(sys.argv[1])))
"""
SUPPORT = Path(__file__).parents[3]
SECONDS = 10


def peak(source: Path, folder: Path) -> tuple[int, int]:
    """Frames of the video, and the peak of the process's memory in KiB."""
    (folder / "in").mkdir(parents=True)
    source.rename(folder / "in" / "film")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=SUPPORT,
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
    )
    assert run.returncode == 0, run.stderr
    frames, memory = map(int, run.stdout.split())
    return frames, memory


def test_ten_minutes_take_no_more_memory_than_one(tmp_path: Path) -> None:
    squares = (Square(4, 10, 0.4, 0.1),)
    once = made(tmp_path / "once.mp4", squares, SECONDS * RATE)
    short, long = (looped(once, tmp_path / f"{times}.mp4", times) for times in (6, 60))
    few, little = peak(short, tmp_path / "short")
    many, much = peak(long, tmp_path / "long")
    assert (few, many) == (6 * SECONDS * RATE, 60 * SECONDS * RATE)
    assert much < 1.1 * little, f"{little} KiB for {few} frames, {much} KiB for {many}"
