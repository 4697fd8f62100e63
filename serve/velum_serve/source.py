"""Reading a work order's source: an object in the input store, or a URL under the rules against request forgery.

A picture is read into memory. A video never is, and the first bytes tell which it is: one in the input store is left
there, to be read by ranges; one behind a URL goes to the output store as it comes.

Either way bytes are counted as they come, so that a source larger than the limit costs at most the limit, whatever its
header said.

Redirects are followed here, one by one, because each target must pass the same check as the first; the session checks
the very address of each connection once more (`velum.net.guard`).
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast
from urllib.parse import urljoin, urlsplit

import aiohttp

from velum.api.reasons import Reason
from velum.api.task import Source
from velum.errors import ForbiddenTarget, InvalidInput, NotFound
from velum.net import check_url, guarded_session
from velum.net.guard import RefusedAddressError
from velum.storage import BlobStore
from velum_pipeline.media import SNIFF_BYTES, sniff
from velum_serve.errors import SourceFailed

MAX_REDIRECTS = 5
"""A short link, a move to https and a content network need three; more is a loop."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

PASSING = frozenset({408, 425, 429})
"""Client errors that a later request may not get: time-out, too early, too many requests. All others stay."""

CHUNK = 1 << 18

HEADERS = {"User-Agent": "velum", "Accept": "image/*, video/*;q=0.9, */*;q=0.5", "Accept-Encoding": "identity"}
"""`identity`: the limit counts what is read, and a small compressed answer must not become a large one."""


@dataclass(frozen=True)
class Kept:
    """A video that was left, or put, where it can be read by ranges.

    identity: differs when its bytes do. copy: whether it was put there for this attempt, and is to be removed with it.
    """

    store: BlobStore
    key: str
    size: int
    identity: str
    copy: bool = False


@dataclass(frozen=True)
class Place:
    """Where a video goes that comes over the network."""

    store: BlobStore
    key: str


KeepVideo = Callable[[bytes, AsyncIterator[bytes]], Awaitable[Kept]]
"""Is given a video's first bytes and those that follow."""


@dataclass(frozen=True)
class SourceLimits:
    """What may be read: at most `max_bytes`; URLs within `timeout_seconds`, public addresses only unless allowed."""

    max_bytes: int = 2 << 30
    allow_private: bool = False
    timeout_seconds: float = 300.0


async def read_source(source: Source, inputs: BlobStore, limits: SourceLimits, place: Place) -> bytes | Kept:
    """Return the source's bytes or, of a video, where it is.

    Raises:
        SourceFailed: it does not exist, is too large, is refused or cannot be reached; `reason` tells which.
        Unavailable: a store does not answer.
    """
    if source.object is not None:
        return await _read_object(source.object.key, inputs, limits)
    return await _read_url(source.url or "", limits, place)


async def _read_object(key: str, inputs: BlobStore, limits: SourceLimits) -> bytes | Kept:
    what = f"object {key!r}"

    async def keep(_head: bytes, _rest: AsyncIterator[bytes]) -> Kept:
        blob = await inputs.head(key)
        if blob.size > limits.max_bytes:
            raise _too_large(what, limits.max_bytes)
        return Kept(inputs, key, blob.size, f"{inputs.url} {key} {blob.size} {blob.modified.isoformat()}")

    try:
        async with aclosing(cast(AsyncGenerator[bytes], inputs.stream(key))) as chunks:
            return await _collect(chunks, what, limits.max_bytes, keep)
    except NotFound as error:
        raise SourceFailed(Reason.SOURCE_NOT_FOUND, f"object {key!r} is not in the input store") from error
    except InvalidInput as error:
        raise SourceFailed(Reason.INVALID_SPEC, f"source.object.key: {error.message}") from error


async def _read_url(url: str, limits: SourceLimits, place: Place) -> bytes | Kept:
    try:
        async with guarded_session(
            allow_private=limits.allow_private, timeout_seconds=limits.timeout_seconds
        ) as session:
            return await _follow(session, url, limits, place)
    except ForbiddenTarget as error:
        raise SourceFailed(Reason.SOURCE_FORBIDDEN, f"{_shown(error.url)}: {error.why}") from error
    except TimeoutError as error:
        text = f"{_shown(url)}: not read within {limits.timeout_seconds:g} s"
        raise SourceFailed(Reason.SOURCE_UNREACHABLE, text) from error
    except (aiohttp.ClientError, OSError) as error:
        reason = Reason.SOURCE_FORBIDDEN if _refused(error) else Reason.SOURCE_UNREACHABLE
        raise SourceFailed(reason, f"{_shown(url)}: {error or type(error).__name__}") from error


async def _follow(session: aiohttp.ClientSession, url: str, limits: SourceLimits, place: Place) -> bytes | Kept:
    for _ in range(1 + MAX_REDIRECTS):
        await check_url(url, allow_private=limits.allow_private)
        async with session.get(url, allow_redirects=False, headers=HEADERS) as response:
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or not target:
                return await _answer(response, url, limits, place)
            url = urljoin(url, target)
    raise SourceFailed(Reason.SOURCE_UNREACHABLE, f"{_shown(url)}: more than {MAX_REDIRECTS} redirects")


async def _answer(response: aiohttp.ClientResponse, url: str, limits: SourceLimits, place: Place) -> bytes | Kept:
    if response.status != 200:
        lasting = 400 <= response.status < 500 and response.status not in PASSING
        reason = Reason.SOURCE_NOT_FOUND if lasting else Reason.SOURCE_UNREACHABLE
        raise SourceFailed(reason, f"{_shown(url)}: answered {response.status} {response.reason or ''}".rstrip())
    if (response.content_length or 0) > limits.max_bytes:
        raise _too_large(_shown(url), limits.max_bytes)

    async def keep(head: bytes, rest: AsyncIterator[bytes]) -> Kept:
        return await _copied(head, rest, place, _shown(url), limits.max_bytes)

    return await _collect(response.content.iter_chunked(CHUNK), _shown(url), limits.max_bytes, keep)


async def _copied(head: bytes, rest: AsyncIterator[bytes], place: Place, what: str, max_bytes: int) -> Kept:
    digest = hashlib.sha256(head)
    async with place.store.writer(place.key) as writer:
        await writer.write(head)
        async for chunk in rest:
            if writer.size + len(chunk) > max_bytes:
                raise _too_large(what, max_bytes)
            digest.update(chunk)
            await writer.write(chunk)
    return Kept(place.store, place.key, writer.size, digest.hexdigest(), copy=True)


async def _collect(chunks: AsyncIterator[bytes], what: str, max_bytes: int, keep: KeepVideo) -> bytes | Kept:
    parts: list[bytes] = []
    size, known = 0, False
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(what, max_bytes)
        if not known and size >= SNIFF_BYTES:
            if is_video(head := b"".join(parts)):
                return await keep(head, chunks)
            known = True
    data = b"".join(parts)
    return await keep(data, chunks) if not known and is_video(data) else data


def is_video(head: bytes) -> bool:
    """Whether a file that begins like this is a video."""
    found = sniff(head)
    return found is not None and found.kind == "video"


def _too_large(what: str, max_bytes: int) -> SourceFailed:
    return SourceFailed(Reason.TOO_LARGE, f"{what} is larger than the limit of {max_bytes} bytes")


def _refused(error: BaseException | None) -> bool:
    """Whether the guard refused the address; aiohttp and its happy eyeballs wrap the error in their own."""
    while error is not None:
        if isinstance(error, RefusedAddressError) or isinstance(getattr(error, "os_error", None), RefusedAddressError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _shown(url: str) -> str:
    """Return the URL without its query: signed URLs carry their secret there."""
    return urlsplit(url)._replace(query="", fragment="").geturl()
