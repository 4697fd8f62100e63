"""Results as answers: streamed from storage, in whole or one range of it, revalidated by their hash.

One range per request: players and resuming clients ask for no more, and many small ranges are a way to burn a core.
Anything about a Range that is not understood is answered with the whole file, as RFC 9110 (14.2) wants.
"""

import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from velum.api import ResultFile
from velum.errors import NotFound
from velum.storage import BlobStore

RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*")

HEADERS = {
    "Accept-Ranges": "bytes",
    # Results never change under their id, but they may be deleted: ask again, and let no proxy keep them.
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
}

EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/tiff": ".tif",
    "image/bmp": ".bmp",
    "image/heic": ".heic",
    "image/avif": ".avif",
    "video/mp4": ".mp4",
    "application/json": ".json",
}


async def stored(request: Request, blobs: BlobStore, file: ResultFile, filename: str) -> Response:
    """Return a stored file as an answer to this request: 200, 206, 304 or 416.

    Raises:
        NotFound: storage has no such file.
    """
    headers = file_headers(f'"{file.sha256}"', filename)
    if unchanged(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    span = _span(request, headers["ETag"], file.size)
    if span is not None and span[0] >= span[1]:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{file.size}"})
    start, end = span or (0, file.size)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
    status = 200 if span is None else 206
    if request.method == "HEAD" or file.size == 0:
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    body = await begun(file.key, blobs.stream(file.key, start, end))
    return StreamingResponse(body, status, headers, file.media_type)


def made(request: Request, data: bytes, tag: str, media_type: str, filename: str) -> Response:
    """Return a file that was made for this request."""
    headers = file_headers(tag, filename) | {"Accept-Ranges": "none"}
    if unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=media_type)


def file_headers(tag: str, filename: str) -> dict[str, str]:
    """Return the headers of a file: its entity tag, and the name under which a browser saves it."""
    plain = "".join(sign if sign.isascii() and sign.isprintable() and sign not in '"\\' else "_" for sign in filename)
    disposition = f'inline; filename="{plain}"'
    if plain != filename:
        disposition += f"; filename*=UTF-8''{quote(filename, safe='')}"
    return HEADERS | {"ETag": tag, "Content-Disposition": disposition}


def result_name(filename: str, role: str, media_type: str) -> str:
    """Return the name of a result: the source's with the type's extension, and the role where it is not the picture."""
    stem = PurePosixPath(filename).stem or "result"
    middle = "" if role == "anonymised" else f".{role}"
    return f"{stem}{middle}{EXTENSIONS.get(media_type, '')}"


def unchanged(request: Request, tag: str) -> bool:
    """Tell whether the client has this version already (If-None-Match; weak comparison, RFC 9110, 13.1.2)."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in given.split(",")}


def _span(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """Return the range that was asked for as (start, end), None for the whole; start >= end: nothing of it is there."""
    text, only_if = request.headers.get("range"), request.headers.get("if-range")
    if text is None or request.method != "GET" or (only_if is not None and only_if.strip() != tag):
        return None
    found = RANGE.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    start, end = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return None  # not a range at all
    return start, end


async def begun(key: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the chunks with the first one read, so that a file that is gone is an error and not a broken answer."""
    try:
        first = await anext(chunks)
    except StopAsyncIteration as error:
        raise NotFound("blob", key) from error

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return rest()
