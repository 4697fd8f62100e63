"""Work orders, pictures and detectors for tests of `velum_serve`."""

import asyncio
import io
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from velum.api.task import TaskSpec
from velum.storage import Storage
from velum.tasks.order import WorkOrder
from velum_pipeline.detections import Detections
from velum_pipeline.options import Limits, ObjectClass, Options
from velum_serve.attempt import Tools
from velum_serve.source import SourceLimits
from velum_serve.videos.attempt import Offer, VideoTools
from velum_serve.videos.cutting import Lengths
from velum_serve.videos.runs import Runs, VideoSettings
from velum_serve.videos.threads import VideoThreads

FACE_BOX = (20.0, 16.0, 60.0, 64.0)


def spec(**more: Any) -> TaskSpec:
    """A spec that asks for faces in the object `in/a.jpg`, but for what is given."""
    return TaskSpec.model_validate({"source": {"object": {"key": "in/a.jpg"}}, "classes": {"face": {}}, **more})


def order(attempt: int = 1, task: str = "t1", **more: Any) -> WorkOrder:
    """A work order for that spec."""
    folder = f"tasks/default/{task}/"
    attempts, work = f"{folder}attempts/u-{attempt}/", f"{folder}work/u/"
    return WorkOrder(task=task, uid="u", attempt=attempt, folder=attempts, work=work, spec=spec(**more))


def picture(extension: str = ".jpg", width: int = 96, height: int = 80, seed: int = 7) -> bytes:
    """A picture file full of texture, so that a region that was not redacted can be told."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    done, coded = cv2.imencode(extension, cv2.GaussianBlur(pixels, (5, 5), 0))
    assert done
    return coded.tobytes()


def video(frames: int = 40, width: int = 160, height: int = 120, gop: int = 8, seed: int = 7) -> bytes:
    """An mp4 of moving texture with a key frame every `gop` frames, 25 a second."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    pixels = cv2.GaussianBlur(pixels, (9, 9), 0)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": str(gop), "keyint_min": str(gop), "sc_threshold": "0"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, number, axis=1), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def times(data: bytes) -> list[int]:
    """When each frame is shown that decodes."""
    with av.open(io.BytesIO(data)) as container:
        return [int(frame.pts or 0) for frame in container.decode(video=0)]


def detections(*boxes: Sequence[float], name: ObjectClass = ObjectClass.FACE, score: float = 0.9) -> Detections:
    """Detections of one class with one score."""
    return Detections(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), score, np.float32),
        np.asarray([name] * len(boxes), object),
    )


def storage(folder: Path) -> Storage:
    """Two folders as stores."""
    return Storage.open((folder / "in").as_uri(), (folder / "out").as_uri())


async def find_face(_pixels: NDArray[np.uint8], _options: Options) -> Detections:
    """Find one face, always in the same place."""
    return detections(FACE_BOX)


def tools(
    stores: Storage,
    threads: Executor,
    detect: Callable[[NDArray[np.uint8], Options], Awaitable[Detections]] = find_face,
    *,
    classes: frozenset[ObjectClass] = frozenset({ObjectClass.FACE}),
    max_pixels: int = 1_000_000,
    max_bytes: int = 1 << 20,
    **more: Any,
) -> Tools:
    """What a replica would bring; ``more`` for videos."""
    videos = video_tools(stores, threads, detect, **more)
    limits = SourceLimits(max_bytes, allow_private=True)
    return Tools(stores, detect, classes, threads, videos, Limits(max_pixels), limits)


async def nobody(_: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    """Offer a run to replicas that are not there."""
    yield {"declined": True}


def video_tools(
    stores: Storage,
    threads: Executor,
    detect: Callable[[NDArray[np.uint8], Options], Awaitable[Detections]] = find_face,
    *,
    settings: VideoSettings | None = None,
    offer: Offer = nobody,
    **more: Any,
) -> VideoTools:
    """What a replica would bring for videos; it has three threads of its own, and segments are short."""
    settings = settings or VideoSettings(preset="ultrafast", batch=4)
    own = VideoThreads(3)
    runs = Runs(stores, detect, settings, own, own)
    lengths = Lengths(least=8, most=16)
    return VideoTools(stores, runs, settings, ["bright"], own, offer, lengths, **{"segment_frames": 8, **more})


async def tick(count: int = 5) -> None:
    """Let other coroutines run."""
    for _ in range(count):
        await asyncio.sleep(0)
