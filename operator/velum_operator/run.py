"""The operator of a cluster: wait for the lease, then watch and work until it is lost or we are told to stop.

All that was in memory goes with the leadership: the next term starts from what is in the store, as after a crash.
"""

import asyncio
import logging
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from velum.clock import Clock, SystemClock
from velum.errors import Unavailable
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum_operator.assembly import Operator, assembled, new_metrics
from velum_operator.backend import ServingBackend
from velum_operator.errors import LeadershipLost
from velum_operator.health import serving_health
from velum_operator.kuberay import KubeRayService
from velum_operator.lease import NAME, Leadership, lease_collection
from velum_operator.liveness import LIMIT
from velum_operator.metrics import ControllerMetrics
from velum_operator.watcher import Watcher

log = logging.getLogger(__name__)

AGAIN_SECONDS = 2.0
"""Wait after a term that ended in an error."""


@dataclass
class Term:
    """What /healthz looks at: the operator of this term, None while another process leads."""

    operator: Operator | None = None

    def trouble(self) -> str:
        """Return why this process is not alive, "" when it is."""
        if self.operator is None or self.operator.echo.alive:
            return ""  # who waits for the lease is well
        return f"the watch is {self.operator.echo.behind().total_seconds():.0f} s behind (limit {LIMIT.seconds} s)"


async def run_operator(
    settings: Settings,
    kubeconfig: Path | None,
    stop: asyncio.Event,
    *,
    metrics: tuple[CollectorRegistry, ControllerMetrics] | None = None,
    identity: str | None = None,
    host: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Drive the tasks of `settings.controller.namespace` until `stop` is set. Runs in any event loop or thread.

    Args:
        settings: `storage`, `serving`, `webhook`, `api.endpoint` and `controller` are used.
        kubeconfig: how the API server is reached; None for the pod's service account.
        stop: ends the operator; attempts that are nearly done are still published.
        metrics: what `new_metrics` made, when the caller shows them elsewhere.
        identity: who we are in the lease; by default host name and process id.
        host: address of /metrics and /healthz on `settings.controller.metrics_port`, by default every one, of IPv4 and
            IPv6: kubelet and Prometheus come from outside the pod, and the pages hold no secret. Port 0 serves neither.
        clock: the time.

    Raises:
        Unavailable: at the start, when the API server, its CRDs or our rights are missing, or the port is taken.
        InvalidInput: a storage URL names no store.
    """
    clock = clock or SystemClock()
    registry, counters = metrics or new_metrics()
    storage = Storage.open(settings.storage.input, settings.storage.output)
    client = await load_client(kubeconfig)
    term = Term()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(KubernetesStore(client, settings.controller.namespace, clock))
        await store.check()
        if settings.controller.metrics_port:
            page = serving_health(host, settings.controller.metrics_port, registry, term.trouble)
            await stack.enter_async_context(page)
        leases = lease_collection(client, settings.controller.namespace)
        leadership = Leadership(leases, identity or f"{socket.gethostname()}_{os.getpid()}", clock)
        stack.push_async_callback(leadership.release)
        backend = backend_of(settings, client)
        while await _unless(stop, leadership.acquire()):
            try:
                async with assembled(store, storage, settings, clock, counters, leadership.uid, backend) as operator:
                    term.operator = operator
                    await _lead(operator, leadership, kubeconfig, settings.controller.namespace, stop)
            except (LeadershipLost, Unavailable) as error:
                log.warning("%s", error)
                await _unless(stop, asyncio.sleep(AGAIN_SECONDS))
            finally:
                term.operator = None


def backend_of(settings: Settings, client: Any) -> ServingBackend | None:
    """Return what serves the models where KubeRay runs Ray, None where a dashboard is told."""
    if not settings.serving.rayservice:
        return None
    return KubeRayService(client, settings.controller.namespace, settings.serving)


async def _lead(
    operator: Operator, leadership: Leadership, kubeconfig: Path | None, namespace: str, stop: asyncio.Event
) -> None:
    """Work until told to stop. Raises LeadershipLost, or Unavailable when a part ended."""
    key = f"lease/{NAME}"  # no task has a slash in its name
    leadership.renewed = lambda version: operator.echo.expect(key, version)

    def lease_seen(name: str, version: str) -> None:
        if name == NAME:
            operator.echo.heard(key, version)

    watcher = Watcher(kubeconfig, namespace, operator.controller.observe, operator.models.observe, lease_seen)
    try:
        await operator.serve(stop, leadership.hold(), watcher.run())
    finally:
        leadership.renewed = lambda _: None


async def _unless(stop: asyncio.Event, work: Any) -> bool:
    """Wait for the work and return True, or return False when `stop` is set before it is done."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return False
        working.result()
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
