"""One attempt at a video, on the replica that was given the order: plan, have the runs done, join, write.

The result is made in a temporary folder on this machine's disk, which needs room for twice the result: its parts, and
the file that they become. Memory does not grow with the video's length.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from velum.errors import VelumError
from velum.storage import BlobStore, Storage
from velum.tasks.order import MANIFEST, Manifest, WorkOrder
from velum_pipeline.errors import OptionError
from velum_pipeline.options import Method, Options
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import require
from velum_pipeline.video.probe import VideoLimits, probe
from velum_pipeline.video.segments import SEGMENT_FRAMES, segments
from velum_pipeline.video.source import Opener
from velum_pipeline.video.trial import fitted
from velum_serve.folder import AttemptFolder
from velum_serve.reasons import failure
from velum_serve.source import Kept
from velum_serve.stages import stage
from velum_serve.videos import plan as plans
from velum_serve.videos.coordinator import Coordinator
from velum_serve.videos.cutting import Lengths, Numbers
from velum_serve.videos.parts import DamagedPart, Part, Parts
from velum_serve.videos.plan import Fence, Plan
from velum_serve.videos.progress import Meter, Told
from velum_serve.videos.result import write_result
from velum_serve.videos.runs import RunOrder, Runs, SourceAt, VideoSettings
from velum_serve.videos.runs import Told as ToldFrames
from velum_serve.videos.threads import VideoThreads, in_thread, uninterrupted

logger = logging.getLogger(__name__)

REPAIRS = 3
"""How often damaged parts are made again in one attempt. A disk that damages them every time is not worth more."""

VERSION = 1
"""Of what parts look like: one that another version made is not joined with ours."""

Offer = Callable[[dict[str, Any]], AsyncGenerator[dict[str, Any], None]]
"""Asks another replica to work on a run (`RunOrder` in JSON); yields what `Runs.events` tells there."""


@dataclass(frozen=True)
class VideoTools:
    """What a replica brings to attempts at videos.

    model: what decides what is found, JSON-ready. offers: how many runs are offered to other replicas at a time, 0
    where there are none. threads: where videos are read, worked on and joined.
    """

    storage: Storage
    runs: Runs
    settings: VideoSettings
    model: Any
    threads: VideoThreads
    offer: Offer
    lengths: Lengths
    offers: int = 0
    limits: VideoLimits = field(default_factory=VideoLimits)
    segment_frames: int = SEGMENT_FRAMES


async def run_video(
    order: WorkOrder, kept: Kept, options: Options, tools: VideoTools, folder: AttemptFolder, told: Told
) -> Manifest:
    """Make the result and seal it. Raises whatever goes wrong."""
    started = time.perf_counter()
    async with _work_folder(order, tools.storage.outputs):
        await _require_possible(options, tools)
        with stage("reading the video"):
            plan, video = await _plan(order, kept, options, tools)
        result = await _made(order, kept, plan, video, options, tools, folder, told)
        seconds = time.perf_counter() - started
        manifest = Manifest(uid=order.uid, media_type=video.media_type.mime, result=result, seconds=seconds)
        await folder.seal(MANIFEST, json.dumps(manifest.wire()).encode())
    return manifest


@asynccontextmanager
async def _work_folder(order: WorkOrder, outputs: BlobStore) -> AsyncGenerator[None]:
    """Take the work folder over; leave in it what the next attempt can use, and nothing where none will come.

    A copy of the source goes in any case: it is an original. So do copies of earlier attempts, which were killed.
    """
    fence = Fence(outputs, order.work, order.attempt)
    try:
        await fence.claim()
        for earlier in range(1, order.attempt):
            await outputs.remove(plans.source_folder(order.work, earlier))
        yield
    except BaseException as error:
        lasting = isinstance(error, Exception) and failure(error).permanent
        await _cleared(order, outputs, fence, everything=lasting)
        raise
    await _cleared(order, outputs, fence, everything=True)


async def _cleared(order: WorkOrder, outputs: BlobStore, fence: Fence, *, everything: bool) -> None:
    async def clear() -> None:
        if everything and await asyncio.to_thread(fence.holds_now):  # else it is another attempt's now
            await outputs.remove(order.work)
        await outputs.remove(plans.source_folder(order.work, order.attempt))

    try:
        await uninterrupted(clear())
    except VelumError:
        logger.warning("could not empty %s; it goes with the task", order.work, exc_info=True)


async def _require_possible(options: Options, tools: VideoTools) -> None:
    if options.lossless:
        raise OptionError("lossless", "a video is encoded anew; it is there for pictures only")
    if options.method is not Method.DETECT:
        tools.settings.encoding(options.quality)
        await in_thread(tools.threads, lambda _: require(tools.settings.codec))


async def _plan(order: WorkOrder, kept: Kept, options: Options, tools: VideoTools) -> tuple[Plan, Video]:
    """Return the plan that is there, else a new one."""
    settings = tools.settings
    spec = order.spec.model_dump(mode="json", exclude={"suspend", "webhook", "destination", "source"})
    encoding = [settings.codec, settings.preset, settings.every]
    wishes = plans.fingerprint(VERSION, kept.identity, spec, tools.model, encoding, tools.segment_frames)
    outputs = tools.storage.outputs
    known = await plans.load(outputs, order.work)
    if known is not None and known[0].wishes == wishes:
        return known
    ranges = tools.runs.ranges(tools.runs.source_at(kept))
    with ranges.trusted():
        video = await in_thread(tools.threads, lambda stopped: probe(ranges.opener(stopped), tools.limits))
        find = partial(_factor, video, options, settings)
        factor = await in_thread(tools.threads, lambda stopped: find(ranges.opener(stopped)))
    plan = plans.new_plan(wishes, segments(video, tools.segment_frames), factor)
    await plans.save(outputs, order.work, plan, video)
    return plan, video


def _factor(video: Video, options: Options, settings: VideoSettings, opener: Opener) -> float | None:
    """Return the rate factor that all of the video's segments are written with, None where the settings tell it."""
    if options.method is Method.DETECT:
        return None
    encoding = settings.encoding(options.quality)
    return fitted(opener, video, encoding, threads=settings.threads).factor


async def _made(
    order: WorkOrder,
    kept: Kept,
    plan: Plan,
    video: Video,
    options: Options,
    tools: VideoTools,
    folder: AttemptFolder,
    told: Told,
) -> Any:
    parts = Parts(tools.storage.outputs, order.work, plan)
    source = tools.runs.source_at(kept)
    done = await parts.finished()
    meter = Meter(video.media_type.mime, video.frames, plan.frames(list(done)), told)
    for repair in range(1 + REPAIRS):
        done = await _coordinator(order, plan, video, source, parts, meter, tools, done).finish()
        ordered = [done[number] for number in sorted(done)]
        ranges = tools.runs.ranges(source)
        write = partial(write_result, order, video, options, ordered, parts, ranges, folder, tools.settings.folder)
        try:
            with stage("joining the video"):
                return await in_thread(tools.threads, write)
        except DamagedPart as error:
            if repair == REPAIRS:
                raise
            logger.warning("%s", error)
            del done[error.number]
    raise AssertionError("unreachable")


def _coordinator(
    order: WorkOrder,
    plan: Plan,
    video: Video,
    source: SourceAt,
    parts: Parts,
    meter: Meter,
    tools: VideoTools,
    done: dict[int, Part],
) -> Coordinator:
    def run_order(numbers: Numbers) -> RunOrder:
        names = {"task": order.task, "uid": order.uid, "attempt": order.attempt, "work": order.work}
        return RunOrder(**names, plan=plan.id, numbers=numbers, source=source, spec=order.spec)

    async def local(numbers: Numbers, frames: ToldFrames) -> None:
        await tools.runs.perform(run_order(numbers), plan, video, frames)

    return Coordinator(
        plan=plan,
        parts=parts,
        meter=meter,
        local=local,
        offer=lambda numbers: tools.offer(run_order(numbers).model_dump(mode="json", by_alias=True)),
        helpers=tools.offers,
        turn=tools.runs.turn,
        lengths=tools.lengths,
        done=done,
    )
