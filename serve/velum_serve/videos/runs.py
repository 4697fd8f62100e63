"""A run: segments that follow each other, worked on by one replica. Its order travels between replicas."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from velum.api.task import TaskSpec
from velum.api.v1 import filename
from velum.storage import Storage
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import Encoding
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.segments import Segment
from velum_pipeline.video.wishes import Wishes
from velum_pipeline.video.work import work
from velum_serve.errors import Withdrawn
from velum_serve.options import pipeline_options
from velum_serve.ranges import Ranges
from velum_serve.reasons import failure
from velum_serve.source import Kept
from velum_serve.stages import stage
from velum_serve.videos.memory import give_back
from velum_serve.videos.parts import Parts
from velum_serve.videos.plan import Fence, Plan, load
from velum_serve.videos.threads import Detect, Stopped, VideoThreads, from_thread, in_thread

PATIENCE_SECONDS = 2.0
"""How long an offered run waits for a replica that has another one in hand. While it waits, Serve counts it as load and
may start a replica; after that it is offered anew, and may find that one."""

WORD_SECONDS = 0.5
"""How often a run tells how far it is."""

Told = Callable[[int], None]


FAST = {"x264": "veryfast", "x265": "veryfast", "svtav1": "8", "h264_nvenc": "p4", "hevc_nvenc": "p4"}
"""The preset of each codec that is used where none is set: about as fast as the detectors are, or faster."""


class SourceAt(BaseModel):
    """Where every replica finds the video."""

    model_config = ConfigDict(frozen=True)

    store: Literal["inputs", "outputs"]
    key: str
    size: int


class RunOrder(BaseModel):
    """Some segments of a video, as one replica asks another to work on them."""

    model_config = ConfigDict(frozen=True)

    task: str
    uid: str
    attempt: int = Field(ge=1)
    work: str
    plan: str
    numbers: tuple[int, ...] = Field(min_length=1)
    source: SourceAt
    spec: TaskSpec


@dataclass(frozen=True)
class VideoSettings:
    """How videos are worked on. every: of so many frames one is looked at. batch: frames put to the detector at a time.

    threads: of a decoder and of an encoder. folder: where temporary files go, None for the system's place.
    """

    codec: str = "x264"
    preset: str = ""
    every: int = 1
    batch: int = 1
    threads: int = 1
    folder: Path | None = None

    def encoding(self, quality: int) -> Encoding:
        """Return how results of this quality are written. Raises UnsupportedEncoder for what there is not."""
        return Encoding(self.codec, self.preset or FAST.get(self.codec, ""), quality)


class Runs:
    """Works on runs, one at a time: a run keeps all cores busy, and two would hold twice the frames in memory."""

    def __init__(
        self, storage: Storage, detect: Detect, settings: VideoSettings, threads: VideoThreads, readers: Executor
    ) -> None:
        self.turn = asyncio.Semaphore(1)
        self._storage = storage
        self._detect = detect
        self._settings = settings
        self._threads = threads
        self._readers = readers

    @property
    def running(self) -> bool:
        """Whether this replica has a run in hand."""
        return self.turn.locked()

    def ranges(self, source: SourceAt) -> Ranges:
        """Return the video's bytes."""
        store = self._storage.inputs if source.store == "inputs" else self._storage.outputs
        return Ranges(store, source.key, source.size, self._readers)

    def source_at(self, kept: Kept) -> SourceAt:
        """Return where other replicas find a source that this one has found."""
        return SourceAt(store="outputs" if kept.copy else "inputs", key=kept.key, size=kept.size)

    async def events(self, order: RunOrder) -> AsyncGenerator[dict[str, Any], None]:
        """Work on a run for another replica, and tell how it goes: `begun` or `declined`, `frames`, `done` or `failed`.

        Closing the generator ends the work.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.turn.acquire()
        except TimeoutError:
            yield {"declined": True}
            return
        try:
            yield {"begun": True}
            async with contextlib.aclosing(self._told(order)) as told:
                async for event in told:
                    yield event
        finally:
            self.turn.release()

    async def _told(self, order: RunOrder) -> AsyncGenerator[dict[str, Any], None]:
        frames = [0]
        running = asyncio.create_task(self._found(order, lambda count: frames.__setitem__(0, count)))
        try:
            while not running.done():
                yield {"frames": frames[0]}
                await asyncio.wait([running], timeout=WORD_SECONDS)
            error = running.exception()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await running
        if isinstance(error, Exception):
            failed = failure(error)
            yield {"failed": {"reason": str(failed.reason), "message": failed.message}}
        else:
            yield {"done": True}

    async def _found(self, order: RunOrder, told: Told) -> None:
        found = await load(self._storage.outputs, order.work)
        if found is None or found[0].id != order.plan:
            raise Withdrawn(f"the plan of task {order.task} is not there any more")
        await self.perform(order, *found, told)

    async def perform(self, order: RunOrder, plan: Plan, video: Video, told: Told) -> None:
        """Work on a run. Its segments are in the work folder afterwards.

        Raises what a stage raises, Withdrawn, Unavailable. Cancelling ends the thread first; then nothing is written
        any more.
        """
        loop = asyncio.get_running_loop()
        try:
            with stage("working on the video"):
                await in_thread(self._threads, lambda stopped: self._work(order, plan, video, told, loop, stopped))
        finally:
            self._threads.submit(give_back)

    def _work(
        self,
        order: RunOrder,
        plan: Plan,
        video: Video,
        told: Told,
        loop: asyncio.AbstractEventLoop,
        stopped: Stopped,
    ) -> None:
        ranges = self.ranges(order.source)
        parts = Parts(self._storage.outputs, order.work, plan)
        fence = Fence(self._storage.outputs, order.work, order.attempt)

        def keep(segment: Segment, result: SegmentResult) -> None:
            try:
                ranges.check()
                parts.save(segment, result, fence, stopped)
            finally:
                for path in (result.path, result.records):
                    if path is not None:
                        path.unlink(missing_ok=True)

        run = [plan.segment(number) for number in order.numbers]
        with ranges.trusted(), TemporaryDirectory(prefix="velum-run-", dir=self._settings.folder) as name:
            work(
                ranges.opener(stopped),
                video,
                run,
                self._wishes(order.spec, plan),
                from_thread(self._detect, loop, stopped),
                keep,
                folder=Path(name),
                progress=_now_and_then(lambda frames: loop.call_soon_threadsafe(told, frames)),
                cancelled=stopped,
            )

    def _wishes(self, spec: TaskSpec, plan: Plan) -> Wishes:
        settings, options = self._settings, pipeline_options(spec)
        return Wishes(
            options=options,
            encoding=replace(settings.encoding(options.quality), factor=plan.factor),
            name=filename(spec),
            key=plan.covers_key,
            every=settings.every,
            threads=settings.threads,
            batch=settings.batch,
        )


def _now_and_then(told: Callable[[int], object]) -> Told:
    """Pass on a word only if the last one is a while ago."""
    last = [0.0]

    def tell(frames: int) -> None:
        now = time.monotonic()
        if now - last[0] >= WORD_SECONDS:
            last[0] = now
            told(frames)

    return tell
