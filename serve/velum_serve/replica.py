"""A replica without Ray: one model's detectors and stores, the two requests it answers, and runs of others' videos.

`app` puts this behind Ray Serve. What is here can be made and called in any process, with any way of batching.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from pydantic import ValidationError

from velum.api.reasons import Reason
from velum.storage import Storage
from velum.tasks.order import Failed, WorkOrder
from velum_pipeline import pipeline, process
from velum_pipeline.detect import Runtime
from velum_pipeline.detections import Detections
from velum_pipeline.options import Limits, Options
from velum_pipeline.video.probe import VideoLimits
from velum_serve.answering import Document, documents
from velum_serve.arguments import ReplicaArguments, ReplicaScale
from velum_serve.attempt import Tools, run_attempt
from velum_serve.batching import BatchDetector, Item, Pixels
from velum_serve.errors import WorkStuck
from velum_serve.reasons import outcome_document
from velum_serve.source import SourceLimits
from velum_serve.videos.attempt import Offer, VideoTools
from velum_serve.videos.cutting import Lengths
from velum_serve.videos.progress import Told
from velum_serve.videos.runs import RunOrder, Runs, VideoSettings
from velum_serve.videos.threads import VideoThreads

MIN_PICTURE_THREADS = 2
"""One picture decodes while another is written, even on one core."""

STUCK_SECONDS = 1800.0
"""After this long without a sign of life of the work on a video the replica is replaced. Much longer than anything
takes between two frames, on the slowest processor; attempts go on from the segments that were finished."""

VIDEO_THREADS = 4
"""One is in a run; others read a new video, join a finished one. More videos than that wait for each other."""

READ_THREADS = 4
"""Fetch blocks of videos in advance; they wait for a store and use no core."""

GPU_BATCH_PIXELS = 16 << 20
"""Input pixels in one run on a GPU: a batch of eight 1280-pixel squares. A CPU gains nothing from more than one."""

Answer = tuple[int, Document | AsyncGenerator[Document, None]]
"""An HTTP status, and a document or, of a video, several: how far it is, and the outcome as the last."""

Batch = Callable[[Sequence[Item]], Awaitable[list[Detections | Exception]]]
BatchedCall = Callable[[Item], Awaitable[Detections | Exception]]
Batched = Callable[[Batch], BatchedCall]
"""Turns a function of many into one of one that waits for company: `serve.batch` in a replica."""


async def nobody(_: Document) -> AsyncGenerator[Document, None]:
    """Offer a run where there is no other replica."""
    yield {"declined": True}


class Replica:
    """One model, ready to work.

    cpus: how many cores it may use. provider: where its networks run. offer: asks another replica of this model to
    work on a run of segments.
    """

    def __init__(
        self,
        arguments: ReplicaArguments,
        batched: Batched,
        cpus: int,
        provider: Literal["cpu", "cuda"] = "cpu",
        offer: Offer = nobody,
    ) -> None:
        """Load the weights; takes seconds. Raises what `ReplicaArguments.registry` and `PackRegistry.load` raise."""
        process.prepare()
        threads = arguments.threads or cpus
        pixels = {"batch_pixels": GPU_BATCH_PIXELS} if provider == "cuda" else {}
        runtime = Runtime(threads=threads, provider=provider, **pixels)
        self.arguments = arguments
        pictures = ThreadPoolExecutor(max(MIN_PICTURE_THREADS, cpus), "picture")
        # Seconds where nothing compiled is kept yet. Not waited for: the first picture meanwhile decodes and is looked
        # at, then waits for what is left of it; and should it fail, redaction fails as it did.
        pictures.submit(pipeline.warm_up)
        self.detector = BatchDetector(arguments.registry().load(arguments.packs, runtime))
        self._networks = ThreadPoolExecutor(1, "detect")  # the session's own threads use the cores
        self._call = batched(self._detect_batch)
        self._ongoing = 0
        storage = Storage.open(arguments.input_url, arguments.output_url)
        videos = self._videos(storage, cpus, offer)
        self._runs = videos.runs
        self._tools = Tools(
            storage=storage,
            detect=self._detect,
            classes=frozenset(arguments.classes),
            threads=pictures,
            videos=videos,
            pixels=Limits(arguments.max_pixels),
            source=SourceLimits(
                arguments.upload_bytes, arguments.source_allow_private, arguments.source_timeout_seconds
            ),
        )

    async def answer(self, method: str, path: str, body: Callable[[], Awaitable[bytes]]) -> Answer:
        """Return the HTTP status and document for a request below the application's prefix."""
        match method, path:
            case "POST", "/attempts":
                return 200, await self._attempt(await body())
            case "GET", "/healthz":
                return 200, self._health()
            case _:
                return 404, {"error": f"{method} {path}: there are POST /attempts and GET /healthz"}

    def run_segments(self, order: Document) -> AsyncGenerator[Document, None]:
        """Work on a run for another replica; yields what `Runs.events` tells. Raises ValidationError."""
        return self._runs.events(RunOrder.model_validate(order))

    def scale(self, scale: ReplicaScale) -> None:
        """Share videos that come from now on among so many replicas; until the first call with none."""
        self._tools = replace(self._tools, videos=replace(self._tools.videos, offers=scale.offers))

    def check(self) -> None:
        """Raise DetectorBroken, WorkStuck when this replica should be replaced."""
        self.detector.check()
        if (seconds := self._video_threads.silence()) > STUCK_SECONDS:
            raise WorkStuck(f"nothing was heard of the work on a video for {seconds:.0f} s")

    def _videos(self, storage: Storage, cpus: int, offer: Offer) -> VideoTools:
        arguments = self.arguments
        settings = VideoSettings(
            arguments.codec, arguments.preset, arguments.detect_every, arguments.batch_size, threads=cpus
        )
        threads = self._video_threads = VideoThreads(VIDEO_THREADS)
        return VideoTools(
            storage=storage,
            runs=Runs(storage, self._detect, settings, threads, ThreadPoolExecutor(READ_THREADS, "read")),
            settings=settings,
            model=[arguments.model, *arguments.packs],
            threads=threads,
            offer=offer,
            lengths=Lengths(arguments.run_frames) if arguments.run_frames else Lengths.worth(arguments.detect_every),
            limits=VideoLimits(frame_pixels=arguments.frame_pixels, rate=arguments.frame_rate),
            segment_frames=arguments.segment_frames,
        )

    async def _attempt(self, body: bytes) -> Document | AsyncGenerator[Document, None]:
        try:
            order = WorkOrder.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            text = f"work order: {'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
            return outcome_document(Failed(Reason.INVALID_SPEC, text))
        answer = documents(lambda told: self._run(order, told))
        word = await anext(answer)
        if "outcome" in word:
            await answer.aclose()
            return word
        return _chained(word, answer)

    async def _run(self, order: WorkOrder, told: Told) -> Document:
        self._ongoing += 1
        try:
            return outcome_document(await run_attempt(order, self._tools, told))
        finally:
            self._ongoing -= 1

    def _health(self) -> Document:
        batches = {str(size): count for size, count in sorted(self.detector.sizes().items())}
        arguments = self.arguments.model_dump(mode="json", include={"model", "classes", "packs"})
        return {
            **arguments,
            "pid": os.getpid(),
            "ongoing": self._ongoing,
            "running": self._runs.running,
            "offers": self._tools.videos.offers,
            "batches": batches,
        }

    async def _detect(self, pixels: Pixels, options: Options) -> Detections:
        found = await self._call((pixels, options))
        if isinstance(found, Exception):
            raise found
        return found

    async def _detect_batch(self, items: Sequence[Item]) -> list[Detections | Exception]:
        return await asyncio.get_running_loop().run_in_executor(self._networks, self.detector.detect, items)


async def _chained(first: Document, rest: AsyncGenerator[Document, None]) -> AsyncGenerator[Document, None]:
    async with aclosing(rest):
        yield first
        async for document in rest:
            yield document
