"""Putting the parts together: one controller with its models, its janitor and its connections.

Where events come from is not decided here: kopf's doors feed it in a cluster, the store's own watch on a laptop.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from velum.clock import Clock
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.store import Store
from velum_operator.backend import ServingBackend
from velum_operator.controller import Controller
from velum_operator.dispatch import ServeDispatcher
from velum_operator.janitor import Janitor
from velum_operator.liveness import Echo
from velum_operator.metrics import ControllerMetrics
from velum_operator.models import ModelKeeper
from velum_operator.rayapi import RayClient
from velum_operator.slots import Slots
from velum_operator.webhooks import WebhookDeliverer


@dataclass(frozen=True)
class Operator:
    """A controller and its companions, connected and ready to run."""

    controller: Controller
    models: ModelKeeper
    janitor: Janitor
    echo: Echo

    async def serve(self, stop: asyncio.Event, *feeds: Coroutine[Any, Any, None]) -> None:
        """Work until `stop` is set (what is nearly done is still done) or until cancelled (at once).

        `feeds` run beside it: they tell it what happens. The first of them to end, or to fail, ends the work; its error
        is raised.
        """
        working = asyncio.create_task(self.run())
        tasks = [working, *(asyncio.create_task(feed) for feed in feeds)]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task in done:
                    task.result()
            await self.stop()
            await working
        finally:
            for each in (stopping, *tasks):
                each.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)

    async def run(self) -> None:
        """Work until `stop`, or until cancelled. Raises Unavailable when the models cannot be read at the start."""
        await self.models.start()
        companions = [asyncio.create_task(self.models.run()), asyncio.create_task(self.janitor.run())]
        controller = asyncio.create_task(self.controller.run())
        try:
            done, _ = await asyncio.wait([controller, *companions], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (controller, *companions):
                task.cancel()
            await asyncio.gather(controller, *companions, return_exceptions=True)

    async def stop(self) -> None:
        """End `run` once what is nearly done is done."""
        await self.controller.stop()


@asynccontextmanager
async def assembled(
    store: Store,
    storage: Storage,
    settings: Settings,
    clock: Clock,
    metrics: ControllerMetrics,
    identity: str,
    backend: ServingBackend | None = None,
) -> AsyncIterator[Operator]:
    """Connect an operator; its connections are closed when the block ends.

    `identity` names the installation whose tasks are in the store; storage that another one owns is not swept.
    `backend` serves the models; without one it is the Ray whose dashboard the settings name.
    """
    slots, echo = Slots(), Echo(clock)
    async with (
        RayClient(settings.serving) as ray,
        ServeDispatcher(settings.serving, (backend or ray).token) as dispatcher,
        WebhookDeliverer(store, settings.webhook, settings.api.endpoint, clock) as deliverer,
    ):
        models = ModelKeeper(store, backend or ray, slots, clock, settings, metrics)
        controller = Controller(
            store, storage, dispatcher, deliverer, models, slots, clock, settings.controller, metrics, echo
        )
        models.changed = controller.wake_model
        janitor = Janitor(store, storage, clock, settings.controller, metrics, identity)
        yield Operator(controller, models, janitor, echo)


def new_metrics(registry: CollectorRegistry | None = None) -> tuple[CollectorRegistry, ControllerMetrics]:
    """Return a registry and the metrics in it. One registry holds one operator's; make them once per process."""
    registry = registry or CollectorRegistry()
    return registry, ControllerMetrics(registry)
