"""`velum up`: everything on one machine, one process tree.

```
 velum up ─┬─ this process: HTTP server, ingress, controller (or the kopf operator, with --kubeconfig)
           └─ Ray head ── Serve proxy, replicas
```

Start order: bind the port (a taken one is said at once), check packs and flags, start Ray while the store opens, serve,
check ourselves with a picture of our own, then say ready. Stop order is the reverse, so that nothing is asked of a part
that has gone: HTTP first, then the controller, which lets what is nearly done be published, then Ray.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from velum.clock import SystemClock
from velum.errors import InvalidInput, VelumError
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.sqlite import SqliteStore
from velum.tasks.store import Store
from velum_cli import listen
from velum_cli.encoders import usable
from velum_cli.folders import DataFolder, cache_folder
from velum_cli.local import for_controller, with_folders
from velum_cli.offer import DEFAULT_MODEL, VIDEO_MODEL, Offer, offered
from velum_cli.sample import sample_picture
from velum_cli.selfcheck import counted, self_check
from velum_cli.signals import Signals
from velum_ingress.app import create_app
from velum_operator.assembly import new_metrics
from velum_operator.local import run_local
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.registry import PackRegistry
from velum_serve.head import LocalRay

RAY_CHECK_SECONDS = 1.0
BROKEN_SECONDS = 10.0
"""How long requests may go on when a part of the service has died: who runs it starts it again."""

HTTP = "the HTTP server"
RAY = "the local Ray"
SAMPLE_KEY = "samples/street.jpg"
"""Where the sample picture lies in the input store; crds/samples name it."""


class StoppedError(VelumError):
    """A part that must run for as long as the service does has ended."""


class Up:
    """One run of `velum up`."""

    def __init__(self, settings: Settings, folder: DataFolder, kubeconfig: Path | None, *, check: bool) -> None:
        self._settings = settings
        self._folder = folder
        self._kubeconfig = kubeconfig
        self._check = check
        self._signals = Signals()
        self._operator_stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM.

        Raises:
            VelumError, PipelineError: it cannot start, or a part ended by itself; the text says which and what to do.
        """
        started = time.monotonic()
        self._signals.listen()
        listen.check_tls(self._settings.api)
        usable(self._settings.video)
        listener = listen.bind(self._settings.api)
        url = listen.base_url(self._settings.api, listener)
        settings = with_folders(self._settings, self._folder)
        offer = self._offer()
        async with AsyncExitStack() as stack:
            storage = Storage.open(settings.storage.input, settings.storage.output)
            store = await stack.enter_async_context(self._store(settings))
            for name, spec in offer.models(os.cpu_count() or 1):
                await store.put_model(name, spec)
            await self._check_model(store, settings)
            app = create_app(store, storage, settings, SystemClock())
            await stack.enter_async_context(listen.serving_metrics(app.state.services.metrics, settings.api))
            if not self._settings.storage.input:
                await storage.inputs.put(SAMPLE_KEY, sample_picture())
            ray = LocalRay(self._folder.ray)  # last, because it takes seconds: what is wrong was said before
            stack.push_async_callback(ray.stop)
            starting = asyncio.create_task(ray.start())
            if not await self._unless_stopped(starting):
                starting.cancel()
                return
            settings = for_controller(settings, ray, url)
            server = listen.server(app, settings.api)
            listener.listen(listen.BACKLOG)  # from here on a request waits instead of being refused
            parts = {
                HTTP: server.serve(sockets=[listener]),
                "the controller": self._controller(store, storage, settings, app.state.services.metrics.registry),
                RAY: _watched(ray),
            }
            await self._serve(parts, server, url, started, offer)

    def _offer(self) -> Offer:
        serving, api = self._settings.serving, self._settings.api
        registry = PackRegistry(serving.packs, cache_folder())
        return offered(registry, serving.default_packs, api.model, api.classes)

    @asynccontextmanager
    async def _store(self, settings: Settings) -> AsyncIterator[Store]:
        if self._kubeconfig is not None:
            from velum_cli import cluster  # noqa: PLC0415 - a second of imports that a laptop does not need

            async with cluster.kubernetes_store(settings, self._kubeconfig, install_crds=True) as store:
                yield store
        else:
            async with SqliteStore(self._folder.database, SystemClock()) as local:
                yield local

    async def _check_model(self, store: Store, settings: Settings) -> None:
        names = [model.name for model in await store.list_models()]
        if settings.api.model not in names:
            raise InvalidInput("--model", f"no model {settings.api.model!r}; there are {', '.join(sorted(names))}")

    async def _controller(
        self, store: Store, storage: Storage, settings: Settings, registry: CollectorRegistry
    ) -> None:
        """Run the controller; its metrics are shown by the ingress beside its own."""
        metrics = new_metrics(registry)
        if self._kubeconfig is not None:
            from velum_operator.run import run_operator  # noqa: PLC0415

            await run_operator(settings, self._kubeconfig, self._operator_stop, metrics=metrics)
        else:
            await run_local(store, storage, settings, metrics[1], stop=self._operator_stop)

    async def _serve(
        self,
        parts: dict[str, Coroutine[Any, Any, None]],
        server: listen.Server,
        url: str,
        started: float,
        offer: Offer,
    ) -> None:
        """Run the parts until a signal comes; one that ends before that ends the whole with its error."""
        running = {name: asyncio.create_task(part) for name, part in parts.items()}
        checking = asyncio.create_task(self._checked(url, offer))
        try:
            if await self._unless_stopped(checking, *running.values()):
                _say_ready(offer, url, checking.result(), time.monotonic() - started)
                await self._unless_stopped(*running.values())
            for name, task in running.items():
                if task.done():
                    task.result()
                    raise StoppedError(f"{name} ended by itself; the log above says why")
        finally:
            checking.cancel()
            told = self._signals.end.is_set()
            grace = self._settings.api.grace_seconds if told else min(self._settings.api.grace_seconds, BROKEN_SECONDS)
            # Who waits for a task has it at once: a terminal should not have to wait for the work of minutes.
            await server.drain(running[HTTP], grace, self._signals.now, wait_for_tasks=False)
            self._operator_stop.set()
            running[RAY].cancel()
            await asyncio.gather(checking, *running.values(), return_exceptions=True)

    async def _checked(self, url: str, offer: Offer) -> dict[str, int]:
        """Return how many objects of each class were hidden in the sample; none of any when it was not looked at.

        Where no face may be asked for it is not: faces are what every pack for them finds in it.
        """
        if not self._check or ObjectClass.FACE not in offer.classes:
            return {}
        return await self_check(url, offer.classes)

    async def _unless_stopped(self, *tasks: "asyncio.Task[Any]") -> bool:
        """Wait for the first of these to end and return True; return False when a signal comes before that.

        An error of the one that ended is raised.
        """
        stopping = asyncio.create_task(self._signals.end.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
            return stopping not in done
        finally:
            stopping.cancel()


async def _watched(ray: LocalRay) -> None:
    """Return never; raise HeadFailed, with the tail of Ray's log, when Ray has died."""
    while True:
        ray.check()
        await asyncio.sleep(RAY_CHECK_SECONDS)


def _say_ready(offer: Offer, url: str, hidden: dict[str, int], seconds: float) -> None:
    check = f"self-check: {counted(hidden)} hidden; " if hidden else ""
    video = [VIDEO_MODEL] if offer.video else []
    models = ", ".join([f"{DEFAULT_MODEL} ({' + '.join(offer.default)})", *video, *offer.ready])
    query = "&".join(["method=blur", *(f"{name}=true" for name in offer.classes or (ObjectClass.FACE,))])
    sys.stdout.write(
        f"\nVelum listens on {url}  ({check}ready after {seconds:.0f} s; models: {models})\n"
        f"Try:  curl -F fileobject=@photo.jpg '{url}/v1/file?{query}'\n"
        f"Docs: {url}/docs    Stop: Ctrl-C\n\n"
    )
    sys.stdout.flush()
