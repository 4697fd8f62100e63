"""A release under KubeRay as tests see it: what lies in its namespace, and a keeper of models that works on it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from support.kuberay import CONFIGMAP, KEY, NAME, serving, template
from support.operatorkit import until_async
from support.samples import ManualClock, model_spec
from velum.api.conditions import READY, condition
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.kubernetes.collection import Collection
from velum.tasks.store import ModelEvent
from velum_operator.kuberay import KubeRayService
from velum_operator.metrics import ControllerMetrics
from velum_operator.models import ModelKeeper
from velum_operator.slots import Slots

TOKEN = "ray-token"
"""Of the Ray that is played."""


class Release:
    """What the chart and KubeRay have in a namespace."""

    def __init__(self, client: Any, namespace: str) -> None:
        self.namespace = namespace
        core, ours = "/api/v1", "/apis/ray.io/v1"
        self._configmaps = Collection(client, api=core, resource="configmaps", kind="", namespace=namespace)
        self._secrets = Collection(client, api=core, resource="secrets", kind="", namespace=namespace)
        self._rayservices = Collection(client, api=ours, resource="rayservices", kind="", namespace=namespace)

    async def install(self, changed: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make the ConfigMap, or change it."""
        data = {KEY: yaml.safe_dump(changed or template())}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CONFIGMAP}, "data": data}
        return await self._configmaps.apply(CONFIGMAP, body, manager="helm")

    async def rayservices(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._rayservices.page({}))["items"]
        return found

    async def rayservice(self) -> dict[str, Any]:
        (found,) = await self.rayservices()
        return found

    async def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self.rayservice())["spec"]["serveConfigV2"])
        return found

    async def served(self) -> list[str]:
        return [each["name"] for each in (await self.document())["applications"]]

    async def report(self, told: dict[str, Any]) -> None:
        """Write a status, as KubeRay would."""
        empty = {"activeServiceStatus": None, "pendingServiceStatus": None, "numServeEndpoints": None}
        for change in (empty, told):
            await self._rayservices.patch(NAME, {"status": change}, subresource="status")

    async def edit(self, change: dict[str, Any]) -> None:
        await self._rayservices.patch(NAME, change)

    async def remove(self) -> None:
        for each in await self.rayservices():
            await self._rayservices.delete(each["metadata"]["name"])

    async def token(self, cluster: str, value: str) -> None:
        """Make the Secret with Ray's token, as KubeRay would."""
        data = {"auth_token": base64.b64encode(value.encode()).decode()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": cluster}, "data": data}
        await self._secrets.create(body)


class Kept:
    """A keeper with its store, and what a test looks at."""

    def __init__(self, keeper: ModelKeeper, store: KubernetesStore, slots: Slots) -> None:
        self.keeper = keeper
        self.store = store
        self._slots = slots

    async def put(self, name: str, **fields: Any) -> None:
        self.keeper.observe(ModelEvent("present", await self.store.put_model(name, model_spec(**fields))))

    async def gone(self, name: str) -> None:
        self.keeper.observe(ModelEvent("gone", await self.store.get_model(name)))

    async def ready(self, name: str = "default") -> tuple[str, str, str]:
        status = (await self.store.get_model(name)).status
        found = condition(status.conditions, READY)
        assert found is not None
        return found.status, found.reason, status.message

    def room(self, name: str = "default") -> bool:
        got = self._slots.take(name, "probe", (ManualClock().now(), "probe"))
        self._slots.release("probe")
        return got


@asynccontextmanager
async def kept(controlplane: Any, given: Settings, kubeconfig: Path | None = None) -> AsyncIterator[Kept]:
    """A keeper as a fresh operator has one; `kubeconfig`: with whose rights it works on the RayService."""
    async with KubernetesStore(await load_client(controlplane.kubeconfig), given.controller.namespace) as store:
        client = await load_client(kubeconfig or controlplane.kubeconfig)
        try:
            slots, metrics = Slots(), ControllerMetrics(CollectorRegistry())
            backend = KubeRayService(client, given.controller.namespace, given.serving)
            keeper = ModelKeeper(store, backend, slots, ManualClock(), given, metrics)
            await keeper.start()
            yield Kept(keeper, store, slots)
        finally:
            await client.close()


@asynccontextmanager
async def up(controlplane: Any, given: Settings, release: Release, *names: str) -> AsyncIterator[Kept]:
    """A keeper whose models are served by a RayService that KubeRay calls ready."""
    await release.install()
    async with kept(controlplane, given) as k:
        for name in names:
            await k.put(name)
        await k.keeper.look()
        await release.report(serving(*names))
        await k.keeper.look()
        yield k


async def eventually(release: Release, names: list[str]) -> None:
    """Wait until exactly these models are in the document."""

    async def served() -> bool:
        return bool(await release.rayservices()) and await release.served() == names

    await until_async(served)
