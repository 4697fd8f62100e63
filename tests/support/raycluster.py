"""A private Ray with one application, for tests that post work orders to it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from support.serving import storage
from velum.storage import Storage
from velum.tasks.order import WorkOrder
from velum_serve.head import LocalRay

PATIENCE = 120.0
"""Seconds. A first replica is there after 8 on two free cores, after 60 where fourteen processes want them."""


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> float:
    """Wait until it holds; return the seconds that took."""
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < PATIENCE, f"{what}: not within {PATIENCE:.0f} s"
        await asyncio.sleep(0.05)
    return time.monotonic() - started


class Cluster:
    """A private Ray with one application, and what tests ask of it."""

    def __init__(self, ray: LocalRay, folder: Path, session: aiohttp.ClientSession) -> None:
        self.ray = ray
        self.stores: Storage = storage(folder)
        self.session = session
        self.folder = folder
        self._api = f"{ray.dashboard}/api/serve/applications/"

    def application(
        self, name: str, idle_seconds: float = 300.0, *, replicas: int = 1, most: int = 1, **args: Any
    ) -> dict[str, Any]:
        """An application as the controller would render it, with so many replicas at first and at most."""
        return {
            "name": name,
            "route_prefix": f"/{name}",
            "import_path": "velum_serve.app:build",
            "args": {
                "model": name,
                "packs": ["velum-street"],
                "classes": ["face"],
                "input_url": (self.folder / "in").as_uri(),
                "output_url": (self.folder / "out").as_uri(),
                "batch_size": 4,
                "batch_wait_seconds": 0.2,
                **args,
            },
            "deployments": [
                {
                    "name": "Anonymizer",
                    "ray_actor_options": {"num_cpus": 1.0, "num_gpus": 0.0},
                    "max_ongoing_requests": 8,
                    "user_config": {"max_replicas": most, "target_ongoing": 2},
                    "autoscaling_config": {
                        "min_replicas": 0 if replicas == 1 else replicas,
                        "initial_replicas": replicas,
                        "max_replicas": most,
                        "target_ongoing_requests": 2,
                        "upscale_delay_s": 0.5,
                        "downscale_delay_s": idle_seconds,
                        "metrics_interval_s": 0.5,
                        "look_back_period_s": 2,
                    },
                }
            ],
        }

    async def deploy(self, *applications: dict[str, Any]) -> None:
        """PUT the whole serving config, again where Serve had no time to start its proxy, as the operator does."""
        config = {
            "proxy_location": "EveryNode",
            "http_options": {"host": "127.0.0.1", "port": self.ray.serve_port},
            "applications": list(applications),
        }

        async def put() -> bool:
            async with self.session.put(self._api, json=config, headers=self.ray.headers) as response:
                assert response.status in {200, 500}, await response.text()
                return response.status == 200

        await until(put, "the serving config is taken")

    async def status(self, name: str) -> dict[str, Any]:
        """What Ray says about an application."""
        async with self.session.get(self._api, headers=self.ray.headers) as response:
            assert response.status == 200
            document = await response.json()
        found: dict[str, Any] = document["applications"].get(name, {})
        return found

    async def replicas(self) -> list[int]:
        """Process ids of the running replicas."""
        deployments = (await self.status("default")).get("deployments", {})
        found = deployments.get("Anonymizer", {}).get("replicas", [])
        return [int(each["pid"]) for each in found if each["state"] == "RUNNING"]

    async def states(self) -> str:
        """What Ray says of the application and each of its replicas, for whoever asks why nothing happens."""
        status = await self.status("default")
        found = status.get("deployments", {}).get("Anonymizer", {})
        replicas = [f"{each.get('pid') or 'no process'} {each['state']}" for each in found.get("replicas", [])]
        return f"application {status.get('status')}, {found.get('status')}: {', '.join(replicas) or 'no replica'}"

    async def running(self) -> bool:
        """Whether the application is up."""
        return (await self.status("default")).get("status") == "RUNNING"

    async def post(self, made: WorkOrder) -> tuple[int, Any]:
        """Post a work order; return status and body."""
        url = f"{self.ray.url}/default/attempts"
        async with self.session.post(url, json=made.wire(), headers=self.ray.headers) as response:
            body = await response.read()
            return response.status, json.loads(body) if response.status == 200 else body.decode(errors="replace")

    async def health(self) -> dict[str, Any]:
        """What the replica says of itself. Starts one where there is none."""
        async with self.session.get(f"{self.ray.url}/default/healthz", headers=self.ray.headers) as response:
            assert response.status == 200
            found: dict[str, Any] = await response.json()
            return found

    async def looked_at(self) -> int:
        """How many pictures the detectors were given so far."""
        return sum(int(size) * count for size, count in (await self.health())["batches"].items())

    async def begin(self, made: WorkOrder) -> "asyncio.Task[tuple[int, Any]]":
        """Post a work order, and return when the detectors look at its picture."""
        before = await self.looked_at()
        call = asyncio.create_task(self.post(made))

        async def looking() -> bool:
            return await self.looked_at() > before

        await until(looking, "the order is worked on")
        assert not call.done()
        return call

    async def ongoing(self, count: int) -> bool:
        """Whether the replica works on so many orders."""
        return bool((await self.health())["ongoing"] == count)
