"""Putting the parts together: one controller with its models, its janitor and its connections.

Where events come from is not decided here: kopf's doors feed it in a cluster, the store's own watch on a laptop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from velum.clock import Clock
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.store import Store
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
    store: Store, storage: Storage, settings: Settings, clock: Clock, metrics: ControllerMetrics
) -> AsyncIterator[Operator]:
    """Connect an operator; its connections are closed when the block ends."""
    slots, echo = Slots(), Echo(clock)
    async with (
        ServeDispatcher(settings.serving) as dispatcher,
        WebhookDeliverer(store, settings.webhook, settings.api.endpoint, clock) as deliverer,
        RayClient(settings.serving) as ray,
    ):
        models = ModelKeeper(store, ray, slots, clock, settings, metrics)
        controller = Controller(
            store, storage, dispatcher, deliverer, models, slots, clock, settings.controller, metrics, echo
        )
        models.changed = controller.wake_model
        yield Operator(controller, models, Janitor(store, storage, clock, settings.controller, metrics), echo)


def new_metrics(registry: CollectorRegistry | None = None) -> tuple[CollectorRegistry, ControllerMetrics]:
    """Return a registry and the metrics in it. One registry holds one operator's; make them once per process."""
    registry = registry or CollectorRegistry()
    return registry, ControllerMetrics(registry)
