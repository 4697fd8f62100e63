"""Around every request: one log line, the metrics, and an answer when something broke that nobody expected.

The log shows the path and never the query string: a webhook's secret may be in it. Whoever runs the server must switch
off the server's own access log, which would show it.

A server that stops cancels what has not ended in time. That is no error: such a request is answered 503 if it can be,
gets its line, and no traceback.
"""

import asyncio
import logging
import secrets
import time
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from velum_ingress.metrics import Metrics
from velum_ingress.problems import stopped, unexpected

log = logging.getLogger(__name__)

CLIENT_LEFT = 499
"""Logged and counted, never sent: the client went away before its request was whole. nginx's number for it."""

QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: logged at debug only."""


class Access:
    """ASGI middleware; pure, because the usual base class would buffer and would hide disconnects."""

    def __init__(self, app: ASGIApp, metrics: Metrics, stopping: asyncio.Event) -> None:
        self._app = app
        self._metrics = metrics
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._app, self._metrics, scope, receive, send)
        try:
            await exchange.run()
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            # Taken as the end of the request: whoever cancelled it is the server, and would log it as an error.
            await exchange.stop()
        finally:
            exchange.finish()


class _Exchange:
    """One request and its answer, counted as they pass."""

    def __init__(self, app: ASGIApp, metrics: Metrics, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._metrics = metrics
        self._scope = scope
        self._receive = receive
        self._send = send
        self._status = 0
        self._received = self._sent = 0
        self._started = time.perf_counter()

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receiving, self._sending)
        except ClientDisconnect:
            self._status = self._status or CLIENT_LEFT
        except Exception:
            error_id = secrets.token_hex(6)
            log.exception("unexpected error %s in %s %s", error_id, self._scope["method"], self._path())
            if self._status:
                raise  # the answer is on its way: only a broken connection tells the client now
            await unexpected(error_id)(self._scope, self._receiving, self._sending)

    async def stop(self) -> None:
        """Answer a request that the stopping server cancelled, if its answer has not begun."""
        if not self._status:
            await stopped()(self._scope, self._receiving, self._sending)

    async def _receiving(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        return message

    async def _sending(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        self._sent += len(message.get("body", b""))
        await self._send(message)

    def finish(self) -> None:
        """Count the request and write its line."""
        seconds = time.perf_counter() - self._started
        method, path = self._scope["method"], self._path()
        route = getattr(self._scope.get("route"), "path", "none")
        self._metrics.answered(route, method, self._status, seconds, self._received, self._sent)
        level = logging.DEBUG if path in QUIET else logging.INFO
        log.log(level, "%s %s %d %.0f ms", method, path, self._status, seconds * 1000)

    def _path(self) -> str:
        """Return the path, percent-encoded: a line end in it must not make a line of the log."""
        return quote(self._scope["path"])
