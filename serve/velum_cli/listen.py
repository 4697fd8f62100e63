"""The listening socket and the HTTP server: bound before anything slow starts, so that a taken port is said at once.

A server that is told to stop takes no new connections, and its requests go on: an upload that is cut off has to be sent
again from its first byte. When their grace is over, those that wait for a task are answered with it (202), and the
others are cancelled.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI

from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum_cli.signals import Signals
from velum_ingress.metrics import Metrics
from velum_ingress.routes.metrics import metrics_app

log = logging.getLogger(__name__)

BACKLOG = 2048
"""Connections that wait in the kernel: uvicorn's own default."""

EVERYWHERE = "::"
"""Every address of the machine, of IPv4 too; those of IPv4 alone where it has no IPv6."""

NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What binding to IPv6 ends in where the kernel has none, or has it switched off."""

ANSWER_SECONDS = 3.0
"""For the last answers, when the grace is over: those who wait get their tasks, those who are cancelled the reason."""


def bind(settings: ApiSettings) -> socket.socket:
    """Return a bound socket. Raises InvalidInput naming the port that is taken or the address that is not ours."""
    return _bound(settings.host, settings.port, "--host, --port")


def _bound(host: str, port: int, named: str) -> socket.socket:
    try:
        return _socket(host, port)
    except OSError as error:
        if host == EVERYWHERE and error.errno in NO_IPV6:
            return _bound("0.0.0.0", port, named)  # noqa: S104 - asked for
        raise InvalidInput(named, f"cannot listen on {host}:{port}: {error.strerror}") from error


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: without, every answer
    # waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == EVERYWHERE:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # whatever the machine's default is
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def serving_metrics(metrics: Metrics, settings: ApiSettings) -> AsyncIterator[None]:
    """Serve `/metrics` on its own port, where it has one, while the block runs. It speaks plain HTTP.

    Raises:
        InvalidInput: the port is taken.
    """
    if not settings.metrics_port:
        yield
        return
    listener = _bound(settings.host, settings.metrics_port, "api.metrics_port")
    config = uvicorn.Config(
        metrics_app(metrics),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)


def base_url(settings: ApiSettings, listener: socket.socket) -> str:
    """Return the URL under which this machine reaches the server."""
    host = settings.host
    if host in {"0.0.0.0", EVERYWHERE}:  # noqa: S104 - the user chose to listen everywhere; we only need one to call
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls_cert else 'http'}://{host}:{listener.getsockname()[1]}"


def check_tls(settings: ApiSettings) -> None:
    """Raise InvalidInput when only half of the TLS pair is given, or a file cannot be read."""
    if (settings.tls_cert is None) != (settings.tls_key is None):
        missing = "--tls-key" if settings.tls_key is None else "--tls-cert"
        raise InvalidInput(missing, "HTTPS needs both --tls-cert and --tls-key")
    for flag, path in (("--tls-cert", settings.tls_cert), ("--tls-key", settings.tls_key)):
        if path is not None and not Path(path).is_file():
            raise InvalidInput(flag, f"{path} is not a file")


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: the composition root decides what ends first."""

    async def serve_until(self, listener: socket.socket, grace_seconds: float, signals: Signals) -> None:
        """Serve until the signal to end, and then what is under way."""
        serving = asyncio.create_task(self.serve(sockets=[listener]))
        ending = asyncio.create_task(signals.end.wait())
        await asyncio.wait([serving, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        await self.drain(serving, grace_seconds, signals.now, wait_for_tasks=True)
        await serving

    async def drain(
        self, serving: "asyncio.Task[None]", grace_seconds: float, now: asyncio.Event, *, wait_for_tasks: bool
    ) -> None:
        """Take no more requests; return when those under way have ended. An error of `serving` is left in it.

        Args:
            serving: the task in which this server serves.
            grace_seconds: how long requests may go on.
            now: ends the grace.
            wait_for_tasks: whether requests that wait for a task may go on as well, or are answered 202 at once.
        """
        if not wait_for_tasks:
            self._let_go()
        self.should_exit = True
        if requests := len(self.server_state.tasks):
            log.info("stopping; %d requests may go on for %g s; another signal ends them", requests, grace_seconds)
        hurrying = asyncio.create_task(now.wait())
        await asyncio.wait([serving, hurrying], timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        await asyncio.gather(hurrying, return_exceptions=True)
        if not serving.done():
            await self._cut(serving)
        await asyncio.wait([serving])

    async def _cut(self, serving: "asyncio.Task[None]") -> None:
        """End every request: with an answer if it can have one, and without where nobody reads it."""
        self._let_go()
        await asyncio.wait([serving], timeout=ANSWER_SECONDS / 2)
        if self.server_state.tasks:
            log.warning("%d requests did not end in time and are cut off", len(self.server_state.tasks))
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.wait([serving], timeout=ANSWER_SECONDS / 2)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def _let_go(self) -> None:
        app = cast(FastAPI, self.config.app)  # uvicorn takes any kind of app; `server` gives it this one
        app.state.services.stop()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def server(app: FastAPI, settings: ApiSettings) -> Server:
    """Return the HTTP server for an app. Its access log stays off: query strings carry secrets."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=True,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        lifespan="on",
    )
    return Server(config)
