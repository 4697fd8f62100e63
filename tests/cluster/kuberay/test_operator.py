"""A whole operator whose models KubeRay serves."""

import asyncio
from typing import Any

from support.kuberay import serving
from support.kuberayrelease import Release, eventually
from support.operatorkit import until_async
from support.playedray import PlayedRay
from support.runningoperator import operator
from support.samples import model_spec, spec
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client


class TestOperator:
    async def test_a_task_waits_for_kuberay_and_is_done(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        await release.install()
        async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:
            await store.put_model("default", model_spec())
            await store.create("street", spec(), labels={})
            async with operator(given, controlplane.kubeconfig) as running:
                await eventually(release, ["default"])
                assert (await store.get("street")).status.attempt == 0
                ray.serve("default")
                await release.report(serving("default"))

                async def done() -> bool:
                    return (await store.get("street")).status.finished

                await until_async(done)
                assert (await store.get("street")).status.complete
                assert [order.task for order in ray.orders] == ["street"]
                assert ray.configs == []  # nothing is put to the dashboard: that is KubeRay's
                await running.stop()

    async def test_operators_that_die_leave_one_rayservice(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        await release.install()
        async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:
            await store.put_model("default", model_spec())
        for life in range(3):
            async with operator(given, controlplane.kubeconfig, "same") as running:
                if life == 0:
                    await eventually(release, ["default"])
                    uid = (await release.rayservice())["metadata"]["uid"]
                elif life == 1:
                    await asyncio.sleep(0)  # killed at once, wherever it was
                else:
                    await eventually(release, ["default"])
                await running.crash()
        found = (await release.rayservice())["metadata"]
        assert (found["uid"], found["generation"]) == (uid, 1)
