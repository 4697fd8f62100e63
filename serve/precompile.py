"""Have compiled what redacts the usual pictures and videos. serve/Dockerfile runs it; numba keeps what it compiles.

What no clip and picture here needs is compiled when the first of its kind comes.
"""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from velum_cli.main import app
from velum_cli.sample import sample_picture
from velum_pipeline.pipeline import warm_up

METHODS = ("pixelate", "blacken")
PIXEL_FORMATS = ("yuv420p", "yuv420p10le", "yuv422p10le")
FRAMES = 12


def pictures(folder: Path) -> list[Path]:
    """Make the sample as 8-bit colour, grey, with alpha, and with 16 bits."""
    colour = cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), cv2.IMREAD_COLOR)
    assert colour is not None  # noqa: S101 - our own picture
    (folder / "colour.jpg").write_bytes(sample_picture())
    made = {
        "grey.jpg": cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY),
        "alpha.png": cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA),
        "deep.png": colour.astype(np.uint16) * 257,
    }
    for name, pixels in made.items():
        cv2.imwrite(str(folder / name), pixels)
    return [folder / name for name in ("colour.jpg", *made)]


def clip(path: Path, pixel_format: str) -> Path:
    """Write the sample as a video whose camera moves."""
    scene = cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), cv2.IMREAD_COLOR)
    assert scene is not None  # noqa: S101
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24), options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = scene.shape[1], scene.shape[0], pixel_format
        for number in range(FRAMES):
            pixels = np.ascontiguousarray(np.roll(scene, 4 * number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def main() -> None:
    """Redact each of them; any that fails ends the build."""
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = pictures(folder)
        run(sources, folder / "pictures")
        for method in METHODS:
            run(sources[:1], folder / method, "--method", method)
        run(sources[:1], folder / "lossless", "--lossless")
        clips = [clip(folder / f"{each}.mp4", each) for each in PIXEL_FORMATS]
        run(clips, folder / "videos")


def run(sources: list[Path], output: Path, *flags: str) -> None:
    """Run `velum anonymize`. Raises typer.Exit when one of the files could not be done."""
    status = app(["anonymize", *map(str, sources), "--output", str(output), *flags], standalone_mode=False)
    if status:
        raise SystemExit(int(status))


if __name__ == "__main__":
    main()
