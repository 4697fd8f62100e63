"""Frames of a video's metadata by their numbers, in flat memory whatever the video's length.

The stored document is an array with a frame per line. Beside it lies an index: for every frame the offset of its line
in bytes, then, as if one more followed, the offset after the last line and what parts two lines; uint64, little endian.
So two numbers of the index say which bytes are wanted, and those are streamed between brackets of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from velum.api import ResultFile
from velum.errors import NotFound
from velum.storage import BlobStore
from velum_ingress.downloads import begun, file_headers, stored, unchanged

OFFSET_BYTES = 8
OPENING, PARTING, CLOSING = b"[\n", b",\n", b"\n]\n"
"""Around the frames and between two, as in the stored document: the whole and a range are made alike."""


@dataclass(frozen=True)
class Frames:
    """The frames [first, stop) of a video that has `total`; an empty range where first is stop."""

    first: int
    stop: int
    total: int

    @classmethod
    def of(cls, start: int, end: int | None, index: ResultFile) -> "Frames":
        """Return what `start` and `end`, both inclusive, mean for the video with this index: what there is of it."""
        total = index.size // OFFSET_BYTES - 1
        first = min(start, total)
        return cls(first, total if end is None else max(first, min(end + 1, total)), total)


async def cut(
    request: Request, blobs: BlobStore, metadata: ResultFile, index: ResultFile, frames: Frames, filename: str
) -> Response:
    """Return these frames as an answer to this request: 200 or 304, and the stored document where they are all.

    Raises:
        NotFound: storage lacks the document or its index.
    """
    if (frames.first, frames.stop) == (0, frames.total):
        return await stored(request, blobs, metadata, filename)
    headers = file_headers(f'"{metadata.sha256}-{frames.first}-{frames.stop}"', filename) | {"Accept-Ranges": "none"}
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if frames.first == frames.stop:
        return Response(b"[]", headers=headers, media_type=metadata.media_type)
    start, end = await asyncio.gather(_offset(blobs, index.key, frames.first), _offset(blobs, index.key, frames.stop))
    end -= len(PARTING)
    headers["Content-Length"] = str(len(OPENING) + end - start + len(CLOSING))
    if request.method == "HEAD":
        return Response(headers=headers, media_type=metadata.media_type)
    body = await begun(metadata.key, blobs.stream(metadata.key, start, end))
    return StreamingResponse(_bracketed(body), 200, headers, metadata.media_type)


async def _offset(blobs: BlobStore, key: str, frame: int) -> int:
    at = frame * OFFSET_BYTES
    data = b"".join([chunk async for chunk in blobs.stream(key, at, at + OFFSET_BYTES)])
    if len(data) != OFFSET_BYTES:
        raise NotFound("blob", key)
    return int.from_bytes(data, "little")


async def _bracketed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield OPENING
    async for chunk in lines:
        yield chunk
    yield CLOSING
