"""Reading a work order's source: an object in the input store, or a URL under the rules against request forgery.

Either way bytes are counted as they come, so that a source larger than the limit costs at most the limit, whatever its
header said. The first bytes are shown to `admit` before the rest is fetched: a two-gigabyte video is refused after its
first chunk, not after it has filled the replica's memory.

Redirects are followed here, one by one, because each target must pass the same check as the first; the session checks
the very address of each connection once more (`velum.net.guard`).
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp

from velum.api.reasons import Reason
from velum.api.task import Source
from velum.errors import ForbiddenTarget, InvalidInput, NotFound
from velum.net import check_url, guarded_session
from velum.net.guard import RefusedAddressError
from velum.storage import BlobStore
from velum_pipeline.media import SNIFF_BYTES
from velum_serve.errors import SourceFailed

MAX_REDIRECTS = 5
"""A short link, a move to https and a content network need three; more is a loop."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})

PASSING = frozenset({408, 425, 429})
"""Client errors that a later request may not get: time-out, too early, too many requests. All others stay."""

CHUNK = 1 << 18

HEADERS = {"User-Agent": "velum", "Accept": "image/*, video/*;q=0.9, */*;q=0.5", "Accept-Encoding": "identity"}
"""`identity`: the limit counts what is read, and a small compressed answer must not become a large one."""

Admit = Callable[[bytes], None]
"""Looks at a source's first bytes and raises when the rest is not worth reading."""


@dataclass(frozen=True)
class SourceLimits:
    """What may be read: at most `max_bytes`; URLs within `timeout_seconds`, public addresses only unless allowed."""

    max_bytes: int = 2 << 30
    allow_private: bool = False
    timeout_seconds: float = 300.0


async def read_source(source: Source, inputs: BlobStore, limits: SourceLimits, admit: Admit) -> bytes:
    """Return the source's bytes.

    Raises:
        SourceFailed: it does not exist, is too large, is refused or cannot be reached; `reason` tells which.
        Unavailable: the input store does not answer.
        Whatever `admit` raises for its first bytes.
    """
    if source.object is not None:
        return await _read_object(source.object.key, inputs, limits, admit)
    return await _read_url(source.url or "", limits, admit)


async def _read_object(key: str, inputs: BlobStore, limits: SourceLimits, admit: Admit) -> bytes:
    try:
        return await _collect(inputs.stream(key), f"object {key!r}", limits.max_bytes, admit)
    except NotFound as error:
        raise SourceFailed(Reason.SOURCE_NOT_FOUND, f"object {key!r} is not in the input store") from error
    except InvalidInput as error:
        raise SourceFailed(Reason.INVALID_SPEC, f"source.object.key: {error.message}") from error


async def _read_url(url: str, limits: SourceLimits, admit: Admit) -> bytes:
    try:
        async with guarded_session(
            allow_private=limits.allow_private, timeout_seconds=limits.timeout_seconds
        ) as session:
            return await _follow(session, url, limits, admit)
    except ForbiddenTarget as error:
        raise SourceFailed(Reason.SOURCE_FORBIDDEN, f"{_shown(error.url)}: {error.why}") from error
    except TimeoutError as error:
        text = f"{_shown(url)}: not read within {limits.timeout_seconds:g} s"
        raise SourceFailed(Reason.SOURCE_UNREACHABLE, text) from error
    except (aiohttp.ClientError, OSError) as error:
        reason = Reason.SOURCE_FORBIDDEN if _refused(error) else Reason.SOURCE_UNREACHABLE
        raise SourceFailed(reason, f"{_shown(url)}: {error or type(error).__name__}") from error


async def _follow(session: aiohttp.ClientSession, url: str, limits: SourceLimits, admit: Admit) -> bytes:
    for _ in range(1 + MAX_REDIRECTS):
        await check_url(url, allow_private=limits.allow_private)
        async with session.get(url, allow_redirects=False, headers=HEADERS) as response:
            target = response.headers.get("Location")
            if response.status not in REDIRECTS or not target:
                return await _answer(response, url, limits, admit)
            url = urljoin(url, target)
    raise SourceFailed(Reason.SOURCE_UNREACHABLE, f"{_shown(url)}: more than {MAX_REDIRECTS} redirects")


async def _answer(response: aiohttp.ClientResponse, url: str, limits: SourceLimits, admit: Admit) -> bytes:
    if response.status != 200:
        lasting = 400 <= response.status < 500 and response.status not in PASSING
        reason = Reason.SOURCE_NOT_FOUND if lasting else Reason.SOURCE_UNREACHABLE
        raise SourceFailed(reason, f"{_shown(url)}: answered {response.status} {response.reason or ''}".rstrip())
    if (response.content_length or 0) > limits.max_bytes:
        raise _too_large(_shown(url), limits.max_bytes)
    return await _collect(response.content.iter_chunked(CHUNK), _shown(url), limits.max_bytes, admit)


async def _collect(chunks: AsyncIterator[bytes], what: str, max_bytes: int, admit: Admit) -> bytes:
    parts: list[bytes] = []
    size, admitted = 0, False
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(what, max_bytes)
        if not admitted and size >= SNIFF_BYTES:
            admit(b"".join(parts))
            admitted = True
    data = b"".join(parts)
    if not admitted:
        admit(data)
    return data


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
