"""An attempt's answer as it comes into being: of a video, how far it is; then the outcome."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from velum.tasks.order import Progress
from velum_serve.videos.progress import Told

Document = dict[str, Any]


async def documents(run: Callable[[Told], Awaitable[Document]]) -> AsyncGenerator[Document, None]:
    """Yield what an attempt tells, and what it returns as the last. Closing the generator cancels the attempt."""
    told: asyncio.Queue[Document | None] = asyncio.Queue()

    async def running() -> Document:
        try:
            return await run(lambda progress: told.put_nowait({"progress": progress_document(progress)}))
        finally:
            told.put_nowait(None)

    attempt = asyncio.create_task(running())
    try:
        while (document := await told.get()) is not None:
            yield document
        yield await attempt
    finally:
        attempt.cancel()
        await asyncio.wait([attempt])


def progress_document(progress: Progress) -> Document:
    """Return progress as the replica answers it."""
    left = progress.seconds_left
    return {
        "frames": progress.frames,
        "of": progress.of,
        "seconds_left": None if left is None else round(left, 1),
        "kept": progress.kept,
        "media_type": progress.media_type,
    }
