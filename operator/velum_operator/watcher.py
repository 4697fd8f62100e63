"""Kopf, watching in a thread of its own.

Why a thread: when kopf stops it cancels every task of its event loop, and it takes over the signal handlers of the main
thread. Velum's operator is also a part of `velum up`, beside an HTTP server, so kopf gets a loop where it may do as it
likes. What it sees is handed over with `call_soon_threadsafe`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kopf

from velum.errors import Unavailable
from velum.tasks.kubernetes import load_client
from velum.tasks.store import ModelEvent, TaskEvent
from velum_operator.doors import Inside, open_doors

log = logging.getLogger(__name__)

SERVER_SECONDS = 240
"""How long one watch lasts: below the five minutes at which many proxies cut."""

CLIENT_SECONDS = 300.0
"""The watch is given up when the server did not end it by then."""

SILENCE_SECONDS = 70.0
"""A watch that shows not even a bookmark (one a minute) for this long is dead, and kopf connects again."""

CONNECT_SECONDS = 5.0

JOIN_SECONDS = 20.0
"""How long kopf may take to stop; its own steps take up to 10 s. The thread is a daemon, so it cannot hold us up."""


GOODBYE_SECONDS = 0.25
"""Before the loop ends: aiohttp closes TLS connections in the background and offers nothing to wait for (its
documentation names this time)."""


class NothingKept(kopf.DiffBaseStorage):
    """Keeps no "last handled configuration": we have no handlers that need one, and computing it costs more CPU per
    event than all the rest."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return an empty essence."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return nothing."""
        return None

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class Watcher:
    """Watches one namespace until stopped. `run` ends when kopf does."""

    def __init__(
        self,
        kubeconfig: Path | None,
        namespace: str,
        task: Callable[[TaskEvent], None],
        model: Callable[[ModelEvent], None],
        lease: Callable[[str, str], None],
    ) -> None:
        """The callables are called in the loop in which `run` runs."""
        self._kubeconfig = kubeconfig
        self._namespace = namespace
        self._inside = (task, model, lease)
        self._stop = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled. Raises Unavailable when kopf gives up."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def end(why: str) -> None:
            if not ended.done():
                ended.set_result(why)

        def work() -> None:
            why = "it stopped by itself"
            try:
                asyncio.run(self._watch(loop))
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            _hand_over(loop, end, why)

        thread = threading.Thread(target=work, name="kopf", daemon=True)
        thread.start()
        try:
            raise Unavailable("kopf", await ended)
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, JOIN_SECONDS)

    async def _watch(self, ours: asyncio.AbstractEventLoop) -> None:
        task, model, lease = self._inside
        registry = kopf.OperatorRegistry()
        open_doors(
            registry,
            Inside(
                task=lambda event: _hand_over(ours, task, event),
                model=lambda event: _hand_over(ours, model, event),
                lease=lambda name, version: _hand_over(ours, lease, name, version),
            ),
        )
        kopf.on.login(registry=registry)(self._login)
        # Kopf warns that signals do not reach it here, which is why it is here; its other loggers stay as they are.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            namespaces=[self._namespace],
            standalone=True,
            stop_flag=self._stop,
        )
        await asyncio.sleep(GOODBYE_SECONDS)

    async def _login(self, **_kwargs: Any) -> kopf.ConnectionInfo:
        """Return the credentials that the store uses as well. Called again whenever they are refused."""
        client = await load_client(self._kubeconfig)
        try:
            config = client.configuration
            header = await config.get_api_key_with_prefix("BearerToken", "authorization") or ""
            scheme, _space, token = header.rpartition(" ")
            return kopf.ConnectionInfo(
                server=config.host,
                ca_path=config.ssl_ca_cert,
                insecure=not config.verify_ssl,
                scheme=scheme or None,
                token=token or None,
                certificate_path=config.cert_file,
                private_key_path=config.key_file,
            )
        finally:
            await client.close()


def kopf_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watch, and write nothing."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True  # the CRDs are there before we are, and we need no right to list namespaces
    settings.persistence.diffbase_storage = NothingKept()
    settings.process.ultimate_exiting_timeout = None  # a thread of ours must not kill the whole process
    settings.watching.server_timeout = SERVER_SECONDS
    settings.watching.client_timeout = CLIENT_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.connect_timeout = CONNECT_SECONDS
    return settings


def _hand_over(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        log.debug("an event came after the end")
