"""One attempt at one task: read, decode, detect, redact, write, and at the very end the manifest.

The source's first bytes decide whether it is a picture, which is made here, or a video (`velum_serve.videos`).

Knows nothing of Ray: what a replica has is handed in as `Tools`. Decoding and redaction run in the replica's bounded
thread pool, detection goes wherever `detect` sends it (a batch across requests), writes go out in parallel.

Whatever goes wrong ends as a Failed with one of the API's reasons (`velum_serve.reasons`), and then there is no result:
files that were already written are removed again. Cancelling the call leaves nothing behind either, unless the manifest
was already on its way (`velum_serve.folder`).
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from velum.api.status import ResultFile, TaskResult
from velum.api.v1 import filename
from velum.storage import Storage
from velum.tasks.order import MANIFEST, Failed, Manifest, Succeeded, WorkOrder
from velum_pipeline.detections import Detections
from velum_pipeline.options import Limits, ObjectClass, Options
from velum_pipeline.pipeline import Product, finish, prepare
from velum_serve.batching import Pixels
from velum_serve.errors import NotServed
from velum_serve.folder import AttemptFolder
from velum_serve.options import pipeline_options
from velum_serve.reasons import failure
from velum_serve.source import Kept, Place, SourceLimits, read_source
from velum_serve.stages import stage
from velum_serve.videos.attempt import VideoTools, run_video
from velum_serve.videos.plan import source_folder
from velum_serve.videos.progress import Told

Detect = Callable[[Pixels, Options], Awaitable[Detections]]

PNG = "image/png"
JSON = "application/json"


@dataclass(frozen=True)
class Tools:
    """What a replica brings to every attempt.

    classes: what the model serves; an order for anything else is refused. threads: where pictures are decoded and
    redacted; its size bounds how many are at a time. videos: what attempts at videos need besides.
    """

    storage: Storage
    detect: Detect
    classes: frozenset[ObjectClass]
    threads: Executor
    videos: VideoTools
    pixels: Limits = field(default_factory=Limits)
    source: SourceLimits = field(default_factory=SourceLimits)


async def run_attempt(order: WorkOrder, tools: Tools, told: Told = lambda _: None) -> Succeeded | Failed:
    """Carry the order out and return how that ended. Of a video, `told` how far it is. Raises only CancelledError."""
    try:
        async with AttemptFolder(tools.storage.outputs, order.folder) as folder:
            return Succeeded(await _attempt(order, tools, folder, told))
    except Exception as error:  # the boundary: an attempt ends in an outcome, whatever happened
        return failure(error)


async def _attempt(order: WorkOrder, tools: Tools, folder: AttemptFolder, told: Told) -> Manifest:
    options = pipeline_options(order.spec)
    _require_served(options, tools.classes)
    place = Place(tools.storage.outputs, source_folder(order.work, order.attempt) + "original")
    with stage("reading the source"):
        source = await read_source(order.spec.source, tools.storage.inputs, tools.source, place)
    if isinstance(source, Kept):
        return await run_video(order, source, options, tools.videos, folder, told)
    return await _picture(order, source, options, tools, folder)


async def _picture(order: WorkOrder, data: bytes, options: Options, tools: Tools, folder: AttemptFolder) -> Manifest:
    run = partial(asyncio.get_running_loop().run_in_executor, tools.threads)
    started = time.perf_counter()
    with stage("decoding"):
        picture = await run(prepare, data, tools.pixels, options)
    del data  # the file need not stay in memory beside its pixels
    with stage("detection"):
        found = await tools.detect(picture.pixels, options)
    with stage("anonymization"):
        product = await run(finish, picture, found, options, filename(order.spec), started)
    seconds = time.perf_counter() - started
    with stage("writing the result"):
        files = _files(product)
        result = await run(_result, order, product, files, folder)
        manifest = Manifest(uid=order.uid, media_type=product.media_type, result=result, seconds=seconds)
        await folder.write({file.name: file.data for file in files.values()})
        await folder.seal(MANIFEST, json.dumps(manifest.wire()).encode())
    return manifest


@dataclass(frozen=True)
class _File:
    name: str
    media_type: str
    data: bytes


def _files(product: Product) -> dict[str, _File]:
    """Return what is to be written, by the field of TaskResult that will name it."""
    pictures = {
        "anonymised": (f"anonymised{product.extension}", product.media_type, product.picture),
        "binary_mask": ("binary-mask.png", PNG, product.binary_mask),
        "instance_mask": ("instance-mask.png", PNG, product.instance_mask),
    }
    files = {role: _File(name, kind, data) for role, (name, kind, data) in pictures.items() if data is not None}
    return {**files, "metadata": _File("metadata.json", JSON, json.dumps(product.metadata).encode())}


def _result(order: WorkOrder, product: Product, files: dict[str, _File], folder: AttemptFolder) -> TaskResult:
    entries = {
        role: ResultFile(
            key=folder.key(file.name),
            media_type=file.media_type,
            size=len(file.data),
            sha256=hashlib.sha256(file.data).hexdigest(),
        )
        for role, file in files.items()
    }
    return TaskResult(attempt=order.attempt, detections=product.counts, **entries)


def _require_served(options: Options, served: frozenset[ObjectClass]) -> None:
    missing = [name for name in ObjectClass if name in options.classes and name not in served]
    if missing:
        finds = ", ".join(name for name in ObjectClass if name in served)
        raise NotServed(f"the model finds {finds}; it does not find {', '.join(missing)}")
