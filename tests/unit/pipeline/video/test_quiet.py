"""Encoders say nothing on standard error, or output, when all is well: a command's own words would drown in theirs."""

import subprocess
import sys
from pathlib import Path

import pytest

from velum_pipeline.video.encoding import CODECS

TRIED = """
import sys
from fractions import Fraction
from pathlib import Path
import av, numpy as np
from velum_pipeline.video.encoder import Encoding, SegmentWriter, require
from velum_pipeline.media.kinds import MP4
from velum_pipeline.video.description import Colour, Turn, Video

codec, target = sys.argv[1:]
require(codec)
video = Video(
    media_type=MP4, stream=0, codec="h264", width=96, height=64, turn=Turn(), source_format="yuv420p",
    pixel_format="yuv420p", time_base=Fraction(1, 25), rate=Fraction(25), aspect=Fraction(1), colour=Colour(),
    field_order="progressive", hdr=None, pts=np.arange(5), end=5, keys=np.zeros(1, np.int64), size=0,
)
encoding = Encoding(codec, {"svtav1": "10"}.get(codec, "ultrafast"))
with SegmentWriter(Path(target), video, encoding, 1) as writer:
    for number in range(5):
        frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 * number, np.uint8), "bgr24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = number, video.time_base
        writer.write(frame)
"""


@pytest.mark.parametrize("codec", sorted(name for name in CODECS if "nvenc" not in name))
def test_an_encoder_says_nothing(codec: str, tmp_path: Path) -> None:
    target = tmp_path / "part.nut"
    done = subprocess.run(
        [sys.executable, "-c", TRIED, codec, str(target)], check=False, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert target.stat().st_size > 0
