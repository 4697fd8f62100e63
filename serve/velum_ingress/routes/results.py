"""`GET /v1/file/{id}/…`: what a task made. Files stream from storage; only `quality`, `compress-level` and
`mask-scale` make a file anew, a few at a time.
"""

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from velum.api import AnonymizationTask, ResultFile
from velum.api.v1 import filename, is_video, status_word
from velum.errors import InvalidInput, NotFound, VelumError
from velum_ingress import described
from velum_ingress.downloads import made, result_name, stored
from velum_ingress.errors import NoSuchResult, NotReady, ResultMissing, TaskFailed
from velum_ingress.frames import Frames, cut
from velum_ingress.links import path_id
from velum_ingress.parameters import collect
from velum_ingress.parameters.values import whole
from velum_ingress.routes.reading import readable
from velum_ingress.services import Services, services
from velum_pipeline import masks, media

router = APIRouter(tags=["results"])

QUALITY, COMPRESS_LEVEL, MASK_SCALE = whole(0, 100), whole(0, 9), whole(1, 100)
FRAME = whole(0, 2**31 - 1)
FRAME_ALIASES = {"start-frame": "start", "end-frame": "end"}

QUALITY_TYPES = frozenset({"image/jpeg", "image/webp", "image/heic", "image/avif"})
LEVEL_TYPES = frozenset({"image/png", "image/tiff"})
"""Types that each parameter means something to; for the others it changes nothing."""


@readable(router, "/v1/file/{id}/anonymised", **described.ANONYMISED)
async def anonymised(request: Request) -> Response:
    """Return the anonymized picture, in the format it came in."""
    given = collect(request.query_params.multi_items(), {"quality": QUALITY, "compress-level": COMPRESS_LEVEL})
    task, file = await _result(request, "anonymised", video=False)
    # 0 means default, as in the upload: the file as it is.
    quality = given.get("quality") if file.media_type in QUALITY_TYPES else None
    level = given.get("compress-level") if file.media_type in LEVEL_TYPES else None
    # A file without loss has no quality of its own: to ask for one is to end that.
    kept = None if task.spec.lossless else task.spec.quality
    if quality in {None, 0, kept} and level in {None, task.spec.compress_level}:
        return await _stored(request, task, "anonymised", file)
    tag = f'"{file.sha256}-q{quality}-c{level}"'
    return await _remade(
        request, task, "anonymised", file, tag, lambda data: media.reencode(data, quality=quality, compress_level=level)
    )


@readable(router, "/v1/file/{id}/binary-mask", **described.MASK)
async def binary_mask(request: Request) -> Response:
    """Return the binary mask: 0 background, 255 anonymized."""
    return await _mask(request, "binary-mask")


@readable(router, "/v1/file/{id}/instance-mask", **described.MASK)
async def instance_mask(request: Request) -> Response:
    """Return the instance mask: instance numbers in green, class bits in blue."""
    return await _mask(request, "instance-mask")


@readable(router, "/v1/file/{id}/metadata", **described.METADATA)
async def metadata(request: Request) -> Response:
    """Return what was found in the picture, and where."""
    collect(request.query_params.multi_items(), {})
    task, file = await _result(request, "metadata", video=False)
    return await _stored(request, task, "metadata", file)


@readable(router, "/v1/file/{id}/video/anonymised", **described.VIDEO)
async def video_anonymised(request: Request) -> Response:
    """Return the anonymized video. Range requests work."""
    collect(request.query_params.multi_items(), {})
    task, file = await _result(request, "anonymised", video=True)
    return await _stored(request, task, "anonymised", file)


@readable(router, "/v1/file/{id}/video/metadata", **described.VIDEO_METADATA)
async def video_metadata(request: Request) -> Response:
    """Return what was found in the video's frames, all of them or those from `start` to `end`, both inclusive."""
    given = collect(request.query_params.multi_items(), {"start": FRAME, "end": FRAME}, FRAME_ALIASES)
    start, end = given.get("start", 0), given.get("end")
    if end is not None and end < start:
        raise InvalidInput("end", f"must not be before start, got {start}..{end}")
    task, file = await _result(request, "metadata", video=True)
    index = task.status.result.metadata_index if task.status.result is not None else None
    if not given:
        return await _stored(request, task, "metadata", file)
    if index is None:
        raise ResultMissing(task.name, "index of the metadata")
    rooms, name = services(request), _name(task, "metadata", file)
    try:
        return await cut(request, rooms.storage.outputs, file, index, Frames.of(start, end, index), name)
    except NotFound as error:
        raise await _why_gone(rooms, task.name, "metadata") from error


async def _mask(request: Request, role: str) -> Response:
    scale = collect(request.query_params.multi_items(), {"mask-scale": MASK_SCALE}).get("mask-scale", 100)
    task, file = await _result(request, role, video=False)
    if scale == 100:
        return await _stored(request, task, role, file)
    return await _remade(
        request, task, role, file, f'"{file.sha256}-s{scale}"', lambda data: masks.rescale(data, scale)
    )


async def _result(request: Request, role: str, *, video: bool) -> tuple[AnonymizationTask, ResultFile]:
    """Return the task and its file of this role.

    Raises:
        NotFound: no such task, or its files were deleted.
        NotReady: it has not ended.
        TaskFailed: it ended without a result.
        NoSuchResult: it made no such file.
    """
    task = await services(request).store.get(path_id(request))
    match status_word(task):
        case "deleted":
            raise NoSuchResult(f"the files of task {task.name} were deleted")
        case "failed":
            raise TaskFailed(task)
        case "done" if task.status.result is not None:
            _check_kind(task, role, video=video)
            file = task.status.result.files().get(role)
            if file is None:
                raise NoSuchResult(_why_missing(task, role))
            return task, file
        case state:
            raise NotReady(task.name, state)


def _check_kind(task: AnonymizationTask, role: str, *, video: bool) -> None:
    if is_video(task) and role.endswith("mask"):
        raise NoSuchResult("videos have no masks in v1")
    if is_video(task) != video:
        kind, middle = ("a video", "/video") if is_video(task) else ("an image", "")
        raise NoSuchResult(f"task {task.name} is {kind}; its address is /v1/file/{task.name}{middle}/{role}")


def _why_missing(task: AnonymizationTask, role: str) -> str:
    if role == "anonymised" and task.spec.method == "detect":
        return "method detect makes masks and metadata, no picture and no video"
    if role.endswith("mask"):
        return f"no {role} was saved; the task was made with save-mask={task.spec.save_mask}"
    return f"task {task.name} made no {role}"


async def _stored(request: Request, task: AnonymizationTask, role: str, file: ResultFile) -> Response:
    """Return a file as it is stored."""
    rooms = services(request)
    try:
        return await stored(request, rooms.storage.outputs, file, _name(task, role, file))
    except NotFound as error:
        raise await _why_gone(rooms, task.name, role) from error


async def _remade(
    request: Request, task: AnonymizationTask, role: str, file: ResultFile, tag: str, make: Callable[[bytes], bytes]
) -> Response:
    """Return a file made anew from the stored one, in a thread, a few at a time."""
    rooms = services(request)
    async with rooms.reencoding:
        try:
            data = await rooms.storage.outputs.get(file.key)
        except NotFound as error:
            raise await _why_gone(rooms, task.name, role) from error
        new = await asyncio.to_thread(make, data)
    return made(request, new, tag, file.media_type, _name(task, role, file))


async def _why_gone(rooms: Services, name: str, role: str) -> VelumError:
    """Return the error for a file that the task has and storage has not.

    Usually somebody deleted the task since it was read. If nobody did, this is our fault and must not look like a
    deletion: a client would give the result up for lost while a folder is only not mounted.

    Raises:
        NotFound: the task is gone.
        Unavailable: storage does not answer, or its folder is missing.
    """
    task = await rooms.store.get(name)
    if status_word(task) == "deleted" or task.purges_files:
        return NoSuchResult(f"the file is gone; task {name} is being deleted")
    await rooms.storage.check()
    return ResultMissing(name, role)


def _name(task: AnonymizationTask, role: str, file: ResultFile) -> str:
    return result_name(filename(task.spec), role, file.media_type)
