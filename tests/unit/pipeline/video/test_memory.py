"""Memory does not grow with a video's length."""

import subprocess
import sys
from pathlib import Path

from support.redsquares import RATE, Square, looped, made

SECONDS = 10
PROGRAM = """
import resource, sys
from pathlib import Path
from support.redsquares import faces, looking_for_red
from velum_pipeline.video.clip import anonymize
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.probe import probe
from velum_pipeline.video.wishes import Wishes

source, target = Path(sys.argv[1]), Path(sys.argv[2])
opener = lambda: source.open("rb")
wishes = Wishes(faces(), Encoding(preset="ultrafast"), "long.mp4", key=bytes(16), threads=1)
done = anonymize(opener, probe(opener), wishes, looking_for_red, target, metadata=target.with_suffix(".json"))
print(done.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
SUPPORT = Path(__file__).parents[3]


def peak(source: Path, target: Path) -> tuple[int, int]:
    """Frames written, and the peak of the process's memory in KiB."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, source, target],
        capture_output=True,
        text=True,
        check=False,
        cwd=SUPPORT,
        env={"PYTHONPATH": str(SUPPORT), "PATH": ""},
    )
    assert run.returncode == 0, run.stderr
    frames, memory = map(int, run.stdout.split())
    return frames, memory


def test_ten_minutes_take_no_more_memory_than_one(tmp_path: Path) -> None:
    squares = (Square(4, 10, 0.6, 0.1), Square(160, 80, -0.5, -0.05))
    short = made(tmp_path / "short.mp4", squares, SECONDS * RATE)
    frames, memory = peak(looped(short, tmp_path / "1.mp4", 60 // SECONDS), tmp_path / "1-out.mp4")
    more_frames, more_memory = peak(looped(short, tmp_path / "10.mp4", 600 // SECONDS), tmp_path / "10-out.mp4")
    assert (frames, more_frames) == (60 * RATE, 600 * RATE)
    assert more_memory < 1.1 * memory
