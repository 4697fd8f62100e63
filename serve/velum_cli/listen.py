"""The listening socket and the HTTP server: bound before anything slow starts, so that a taken port is said at once."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI

from velum.errors import InvalidInput
from velum.settings import ApiSettings

BACKLOG = 2048
"""Connections that wait in the kernel: uvicorn's own default."""

GRACE_SECONDS = 10
"""How long running requests may take to end after Ctrl-C; synchronous ones would hold the server for minutes."""


def bind(settings: ApiSettings) -> socket.socket:
    """Return a bound socket. Raises InvalidInput naming the port that is taken or the address that is not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it is: without, every answer
    # waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise InvalidInput(
            "--host, --port", f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    return listener


def base_url(settings: ApiSettings, listener: socket.socket) -> str:
    """Return the URL under which this machine reaches the server."""
    host = settings.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - the user chose to listen everywhere; we only need one address to call
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
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

    def end(self) -> None:
        """Let go of the requests that wait for a task, then stop once the others are answered."""
        app = cast(FastAPI, self.config.app)  # uvicorn takes any kind of app; `server` gives it this one
        app.state.services.stop()
        self.should_exit = True

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
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        lifespan="on",
    )
    return Server(config)
