"""Handing work orders to Ray Serve, and telling how they ended.

One HTTP request is one attempt: it is answered when the attempt has ended. So there is no time-out while connected (a
cold replica loads its models first, a big picture takes its time; `activeDeadlineSeconds` is the limit that users set),
and closing the connection is how an attempt is cancelled.

What a broken call means is decided here, in one table:

| seen | means |
|---|---|
| connection refused, 404, 503 | nothing was taken: NotStarted, tried again, not counted |
| 401, 403 | our token is not (or no more) Ray's: looked for again and sent again at once, then NotStarted |
| 200 | what the last line says: a replica tells its own failures so, and never otherwise |
| 5xx | Failed(WorkerLost): counted, work that kills its worker must come to an end |
| connection lost, no last line | Failed(WorkerLost) that broke off: counted when it does so time and again |
| any other answer | Failed(PipelineFailed) |

A replica answers every order that it takes with 200, also when it failed. So 5xx is Ray's proxy: its bare 500 says that
the replica died while it had the work. When the proxy itself dies, it takes the connections of many replicas with it,
those of its own pod and of others.

The body is JSON, a document a line. The last one is the outcome; of a video, lines that tell how far it is come first:
`{"progress": {"frames": 120, "of": 1800, "seconds_left": 41.5, "kept": 0}}`, with null for what cannot be told yet.
"""

import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, Self

import aiohttp
from pydantic import ValidationError

from velum.api.reasons import Reason
from velum.errors import Unavailable
from velum.settings import ServingSettings
from velum.tasks.order import Failed, Manifest, NotStarted, Outcome, Progress, Succeeded, WorkOrder
from velum_operator.rayapi import bearer

CONNECT_SECONDS = 5.0
"""How long a TCP connection may take. Ray is next door: longer means it is not there."""

KEEPALIVE_SECONDS = 2.0
"""An idle connection is dropped before the server would: Ray's proxy closes after 5 s at the earliest, and a request
sent into a closing connection looks like a lost worker."""

NOT_TAKEN = frozenset({404, 503})
"""404: the application is not there yet (or Ray was restarted). 503: no replica takes more."""

REFUSED = frozenset({401, 403})
"""401: what a replica says to an order without Ray's token. 403: what others say who guard the way to it."""

ERROR_TEXT = 500
"""Characters of an unexpected answer that are shown: enough to recognise it."""

MEDIA_TYPE_LENGTH = 127
"""As the resource types allow for `status.mediaType`."""

MOST_SECONDS = 365 * 86_400.0
"""The longest estimate that is believed: it is added to a date."""

Told = Callable[[Progress], None]
"""Is told how far an attempt is, now and then."""

Token = Callable[[str | None], Awaitable[str]]
"""Returns the token that goes with orders, as `ServingBackend.token` does."""


class Dispatcher(Protocol):
    """Runs attempts somewhere."""

    async def run(self, order: WorkOrder, told: Told) -> Outcome:
        """Run this attempt to its end. Cancelling the call cancels the attempt. Raises nothing else."""
        ...


class ServeDispatcher:
    """Runs attempts on Ray Serve over HTTP. Use as an async context manager."""

    def __init__(self, settings: ServingSettings, token: Token) -> None:
        self._url = settings.url.rstrip("/")
        self._token = token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # No limit: slots are the limit, and a request that waits for a connection would hold a slot for nothing.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def run(self, order: WorkOrder, told: Told) -> Outcome:
        """Post the order and wait for the outcome, however long it takes."""
        try:
            token = await self._token(None)
            outcome = await self._post(order, token, told)
            if outcome is None:  # the Ray behind the address may be another one by now
                fresh = await self._token(token)
                outcome = await self._post(order, fresh, told) if fresh != token else None
        except Unavailable as error:
            return NotStarted(str(error))
        return outcome or NotStarted(f"Ray Serve at {self._url} does not take our token; serving.token must be Ray's")

    async def _post(self, order: WorkOrder, token: str, told: Told) -> Outcome | None:
        """Return the outcome, None when the token was refused."""
        if self._session is None:
            return NotStarted("the controller is shutting down")
        url = f"{self._url}/{order.spec.model}/attempts"
        call = self._session.post(url, json=order.wire(), headers=bearer(token), allow_redirects=False)
        try:
            async with call as response:
                return None if response.status in REFUSED else await _outcome(order, response, told)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return NotStarted(f"Ray Serve does not answer at {self._url}: {_text(error)}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return _broke_off(f"the connection to the replica broke: {_text(error)}")


async def _outcome(order: WorkOrder, response: aiohttp.ClientResponse, told: Told) -> Outcome:
    if response.status in NOT_TAKEN:
        return NotStarted(f"Ray Serve takes no work for model {order.spec.model!r} (HTTP {response.status})")
    if response.status != 200:
        body = await response.read()
        text = f"HTTP {response.status}: {body.decode(errors='replace')[:ERROR_TEXT].strip()}"
        if response.status >= 500:
            return Failed(Reason.WORKER_LOST, f"the replica was lost while it had the work ({text})")
        return Failed(Reason.PIPELINE_FAILED, f"an answer that no replica gives: {text}")
    try:
        async for line in _lines(response):
            document = json.loads(line)
            if not (isinstance(document, dict) and "progress" in document):
                return parse_outcome(order, document)
            told(parse_progress(document["progress"]))
    except json.JSONDecodeError:
        return _broke_off("the replica's answer broke off in the middle of a line")
    except (ValueError, KeyError, TypeError) as error:
        return Failed(Reason.PIPELINE_FAILED, f"the replica's answer makes no sense: {_text(error)}")
    return _broke_off("the replica's answer ended before it told an outcome")


def _broke_off(message: str) -> Failed:
    return Failed(Reason.WORKER_LOST, message, broke_off=True)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of a body, of any length; the last one may lack its end."""
    held = b""
    async for chunk in response.content.iter_any():
        *lines, held = (held + chunk).split(b"\n")
        for line in lines:
            yield line
    if held.strip():
        yield held


def parse_progress(body: Any) -> Progress:
    """Return the progress that a replica tells. Raises ValueError, KeyError or TypeError for nonsense."""
    frames, of, seconds = int(body["frames"]), int(body["of"]), float(body["seconds_left"] or 0)
    kept, media_type = int(body.get("kept", 0)), body.get("media_type")
    if not (0 <= kept <= frames <= of and math.isfinite(seconds)) or not _is_type(media_type):
        raise ValueError(f"progress {body}")
    left = None if body["seconds_left"] is None else min(max(seconds, 0.0), MOST_SECONDS)
    return Progress(frames, of, left, kept, media_type)


def _is_type(told: Any) -> bool:
    """Whether it is a media type that a status has room for, or nothing."""
    return told is None or (isinstance(told, str) and 0 < len(told) <= MEDIA_TYPE_LENGTH)


def parse_outcome(order: WorkOrder, body: Any) -> Outcome:
    """Return the outcome that a replica's answer tells. Raises ValueError, KeyError or TypeError for nonsense."""
    match body["outcome"]:
        case "succeeded":
            return Succeeded(_manifest(order, body["manifest"]))
        case "failed":
            return Failed(Reason(body["reason"]), str(body["message"]))
        case other:
            raise ValueError(f"unknown outcome {other!r}")


def _manifest(order: WorkOrder, body: Any) -> Manifest:
    try:
        manifest = Manifest.model_validate(body)
    except ValidationError as error:
        raise ValueError(f"manifest: {error.errors(include_input=False)[0]['msg']}") from error
    if (manifest.uid, manifest.result.attempt) != (order.uid, order.attempt):
        raise ValueError(f"the manifest is of attempt {manifest.result.attempt} of {manifest.uid}")
    return manifest


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
