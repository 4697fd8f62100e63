"""An operator in a test's own process, on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.operatorkit import PATIENCE, settings
from support.playedray import PlayedRay
from velum.settings import Settings
from velum_operator.assembly import new_metrics
from velum_operator.run import run_operator


def beside(ray: PlayedRay, folder: Path, namespace: str, **serving: Any) -> Settings:
    """Settings of an operator of this namespace whose Ray is played; `serving`: more of that group."""
    return settings(
        folder,
        controller={"namespace": namespace, "metrics_port": 0, "workers": 4},
        serving={"dashboard": ray.url, "url": ray.url, **serving},
    )


class Running:
    """An operator in this process's loop."""

    def __init__(self, task: asyncio.Task[None], stop: asyncio.Event, registry: Any) -> None:
        self.task = task
        self._stop = stop
        self._registry = registry

    def metric(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(name, labels) or 0.0

    async def crash(self) -> None:
        """Lose all that is in memory, without a moment to finish anything."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.wait_for(self.task, PATIENCE)


@asynccontextmanager
async def operator(given: Settings, kubeconfig: Path, identity: str = "one") -> AsyncIterator[Running]:
    stop, metrics = asyncio.Event(), new_metrics()
    task = asyncio.create_task(
        run_operator(given, kubeconfig, stop, metrics=metrics, identity=identity, host="127.0.0.1")
    )
    try:
        yield Running(task, stop, metrics[0])
        if task.done() and not task.cancelled():
            task.result()
    finally:
        stop.set()
        await asyncio.wait([task])
