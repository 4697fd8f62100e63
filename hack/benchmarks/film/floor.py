"""Our path without inference beside decoding and encoding alone, in this process, in turns.

The floor decodes the clip and encodes its frames as they are, with the same encoder, settings and threads, into an mp4,
with PyAV and nothing else; what the settings follow, the source's bit rate, it is told. Our path is everything that a
video goes through: probe, decode, conversion for a detector, tracks, regions, redaction, encode, join, with a detector
that answers at once with moving faces.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.stream import VideoStream

from evaluation.tracks import clips
from velum_pipeline import process
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, SaveMask
from velum_pipeline.video import clip
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoding import Encoding, options, pixel_format
from velum_pipeline.video.looking import Detect, Pixels
from velum_pipeline.video.probe import probe
from velum_pipeline.video.wishes import Wishes

FACES = 6
FACE = (0.045, 0.10)
"""Of the picture's width and height: 58 x 72 pixels at 720p."""
STEP = 0.002
"""Of the picture's width, what a face moves from one look to the next."""
ENCODING = Encoding()
KEY = bytes(16)
"""A benchmark has no secret."""
LARGE = (1920, 1080)


@dataclass(frozen=True)
class Ratio:
    """Medians in seconds. cpu: of all cores."""

    name: str
    frames: int
    wall: Mapping[str, float]
    cpu: Mapping[str, float]

    def of(self, side: str) -> tuple[float, float]:
        """A side's wall and CPU time ÷ the floor's."""
        return self.wall[side] / self.wall["floor"], self.cpu[side] / self.cpu["floor"]


def measure(name: str, source: Path, folder: Path, rounds: int) -> Ratio:
    """The floor, and our path looking at every frame and at every third. Raises the pipeline's errors."""
    process.prepare()  # the floor gains by it, too
    video = probe(lambda: source.open("rb"))
    sides: dict[str, Callable[[], None]] = {
        "floor": lambda: floor(source, folder / "floor.mp4", video),
        "path": lambda: path(source, folder / "path.mp4", every=1),
        "path, every 3rd frame": lambda: path(source, folder / "path.mp4", every=3),
    }
    wall: dict[str, list[float]] = {side: [] for side in sides}
    cpu: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side, run in sides.items():
            started, used = time.perf_counter(), time.process_time()
            run()
            if turn:  # the first turn loads and compiles code
                wall[side].append(time.perf_counter() - started)
                cpu[side].append(time.process_time() - used)
    medians = [{side: statistics.median(each) for side, each in taken.items()} for taken in (wall, cpu)]
    return Ratio(name, video.frames, *medians)


def floor(source: Path, target: Path, video: Video) -> None:
    """Decode and encode, nothing else. video: for the settings."""
    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        track = given.streams.video[0]
        track.thread_type = "AUTO"
        wished = options(ENCODING, video, 0)
        stream = cast(VideoStream, container.add_stream(ENCODING.facts.encoder, rate=video.rate, options=wished))
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, pixel_format(ENCODING, video)
        stream.codec_context.time_base = video.time_base
        stream.codec_context.thread_count = 0
        for frame in given.decode(track):
            frame.pict_type = PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def path(source: Path, target: Path, *, every: int, detect: Detect | None = None) -> None:
    """Everything but inference. detect: instead of moving faces. Raises SystemExit where the work was not done."""
    face = ObjectClass.FACE
    wanted = Options(Method.BLUR, {face: ClassOptions.default(face)}, save_mask=SaveMask.NONE)
    video = probe(lambda: source.open("rb"))
    wishes = Wishes(wanted, ENCODING, source.name, KEY, every)
    done = clip.anonymize(lambda: source.open("rb"), video, wishes, detect or moving(), target)
    if done.frames != video.frames or (detect is None and done.counts.get(str(face), 0) < FACES):
        raise SystemExit(f"the path did not do its work on {source.name}: {done}")


def moving() -> Detect:
    """Answers at once: FACES faces that go round through the picture, a step further at every look."""
    looks = 0

    def detect(pictures: list[Pixels], _: Options) -> list[Detections]:
        nonlocal looks
        found = []
        for picture in pictures:
            found.append(_faces(picture.shape[1], picture.shape[0], looks))
            looks += 1
        return found

    return detect


def nothing(pictures: list[Pixels], _: Options) -> list[Detections]:
    """The answer of a detector that finds nothing."""
    return [Detections.empty() for _ in pictures]


def larger(source: Path, target: Path) -> None:
    """The clip at 1920 x 1080."""
    _, _, rate = clips.described(source)
    pictures = (
        np.asarray(cv2.resize(each, LARGE, interpolation=cv2.INTER_CUBIC), np.uint8) for each in clips.frames(source)
    )
    clips.write(target, pictures, rate, quality="20")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def _faces(width: int, height: int, look: int) -> Detections:
    across, down = FACE[0] * width, FACE[1] * height
    rows = np.arange(FACES)
    x = width * (0.08 + 0.14 * rows + 0.04 * np.sin(STEP / 0.04 * look + rows))
    y = height * (0.15 + 0.11 * rows)
    boxes = np.stack([x, y, x + across, y + down], axis=1).astype(np.float32)
    return Detections(boxes, np.full(FACES, 0.9, np.float32), as_classes([ObjectClass.FACE] * FACES))
