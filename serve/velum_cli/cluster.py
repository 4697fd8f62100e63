"""The parts of a cluster: the operator, an ingress, and the store on the API server that both use.

What only one of them needs is imported when it runs: the operator's image has no web server and no codecs, the
ingress's no kopf.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from velum.api.crd import KINDS, build
from velum.clock import SystemClock
from velum.errors import NotFound, Unavailable
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.kubernetes.collection import Collection
from velum.tasks.kubernetes.refusals import PART
from velum_cli.signals import Signals

__all__ = ["kubernetes_store", "run_ingress", "run_operator"]

MANAGER = "velum"
"""Our name as a field manager."""

CRD_WAIT_SECONDS = 15
"""The API server serves a new resource type within a second or two."""

LOOK_SECONDS = 0.2
"""Between looks at whether it does."""


@asynccontextmanager
async def kubernetes_store(
    settings: Settings, kubeconfig: Path | None, *, install_crds: bool = False
) -> AsyncIterator[KubernetesStore]:
    """Open the store on a cluster; with `install_crds` the resource types are brought up to date first.

    Raises:
        Unavailable: the API server does not answer or refuses us.
    """
    client = await load_client(kubeconfig)
    async with KubernetesStore(client, settings.controller.namespace) as store:
        if install_crds:
            await _install_crds(client)
            await _served(store)
        await store.check()
        yield store


async def _install_crds(client: Any) -> None:
    api, resource, kind = "/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", "resource type"
    types = Collection(client, api=api, resource=resource, kind=kind, namespace="")
    for definition in map(build, KINDS):
        await types.apply(definition["metadata"]["name"], definition, manager=MANAGER)


async def _served(store: KubernetesStore) -> None:
    """Wait until new resource types are served. Raises Unavailable."""
    end = time.monotonic() + CRD_WAIT_SECONDS
    while True:
        try:
            await store.list(limit=1)
            await store.list_models()
        except (NotFound, Unavailable) as error:
            if time.monotonic() > end:
                why = f"its resource types are installed, and not served {CRD_WAIT_SECONDS} s later: {error}"
                raise Unavailable(PART, why) from error
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return


async def run_operator(settings: Settings, kubeconfig: Path | None) -> None:
    """Run the operator until SIGTERM."""
    from velum_operator.run import run_operator as operate  # noqa: PLC0415

    signals = Signals()
    signals.listen()
    await operate(settings, kubeconfig, signals.end)


async def run_ingress(settings: Settings, kubeconfig: Path | None) -> None:
    """Run one ingress until SIGTERM."""
    from velum_cli import listen  # noqa: PLC0415
    from velum_ingress.app import create_app  # noqa: PLC0415

    signals = Signals()
    signals.listen()
    listen.check_tls(settings.api)
    listener = listen.bind(settings.api)
    storage = Storage.open(settings.storage.input, settings.storage.output)
    async with kubernetes_store(settings, kubeconfig) as store:
        app = create_app(store, storage, settings, SystemClock())
        async with listen.serving_metrics(app.state.services.metrics, settings.api):
            await listen.server(app, settings.api).serve_until(listener, settings.api.grace_seconds, signals)
