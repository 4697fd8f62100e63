"""The parts of a cluster: the operator, an ingress, and the store on the API server that both use.

What only one of them needs is imported when it runs: the operator's image has no web server and no codecs, the
ingress's no kopf.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kubernetes.aio.client import ApiextensionsV1Api
from kubernetes.aio.client.exceptions import ApiException

from velum.api.crd import build
from velum.clock import SystemClock
from velum.errors import NotFound, Unavailable
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum_cli.signals import Signals

__all__ = ["kubernetes_store", "run_ingress", "run_operator"]

CRD_WAIT_SECONDS = 15
"""The API server serves a new resource type within a second or two."""


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


async def _install_crds(client: object) -> None:
    api = ApiextensionsV1Api(client)
    for kind in ("AnonymizationTask", "AnonymizationModel"):
        definition = build(kind)
        name = definition["metadata"]["name"]
        try:
            await api.patch_custom_resource_definition(
                name,
                definition,
                field_manager="velum",
                force=True,
                _content_type="application/apply-patch+yaml",
            )
        except ApiException as error:
            raise Unavailable("the Kubernetes API server", f"cannot apply {name}: {error.reason}") from error


async def _served(store: KubernetesStore) -> None:
    """Wait until a new resource type is served."""
    async with asyncio.timeout(CRD_WAIT_SECONDS):
        while True:
            try:
                await store.list(limit=1)
                await store.list_models()
            except (NotFound, Unavailable):
                await asyncio.sleep(0.2)
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
