"""Limits of worker groups in a Ray cluster that runs."""

import time
from typing import Any

import pytest

from support.kuberay import crd, group, template
from support.kuberayrelease import Release, up
from support.operatorkit import PATIENCE
from velum.settings import Settings
from velum.tasks.kubernetes import load_client
from velum.tasks.kubernetes.collection import Collection


class TestNumbers:
    """Limits of worker groups. KubeRay's RayCluster is made as it would make it."""

    @pytest.fixture
    def rayclusters(self, controlplane: Any, kuberay: None) -> None:
        controlplane.kubectl("apply", "--server-side", "-f", crd().with_name("ray.io_rayclusters.yaml"))
        until = time.monotonic() + PATIENCE
        while controlplane.try_kubectl("get", "rayclusters", "-A").returncode:
            assert time.monotonic() < until, "the server does not serve RayClusters"
            time.sleep(0.1)

    async def test_a_cluster_that_runs_hears_of_new_ones(
        self, controlplane: Any, given: Settings, release: Release, rayclusters: None
    ) -> None:
        api, where = "/apis/ray.io/v1", given.controller.namespace
        client = await load_client(controlplane.kubeconfig)
        clusters = Collection(client, api=api, resource="rayclusters", kind="", namespace=where)
        spec = template()["spec"]["rayClusterConfig"]
        running = [group(replicas=2)]
        body = {"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "velum-abcde"}}
        try:
            await clusters.create({**body, "spec": {**spec, "workerGroupSpecs": running}})
            async with up(controlplane, given, release, "default") as k:
                before = await clusters.get("velum-abcde")
                assert before["metadata"]["generation"] == 1  # nothing to write yet
                await release.install(template(workerGroupSpecs=[group(most=9, minReplicas=1)]))
                await k.keeper.look()
                await k.keeper.look()
            after = await clusters.get("velum-abcde")
            (found,) = after["spec"]["workerGroupSpecs"]
            assert (found["minReplicas"], found["maxReplicas"], found["replicas"]) == (1, 9, 2)
            assert after["metadata"]["generation"] == 2
            await clusters.delete("velum-abcde")
        finally:
            await client.close()

    async def test_one_that_must_not_be_written_is_no_trouble_for_models(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        """There is no RayCluster of that name at all here."""
        async with up(controlplane, given, release, "default") as k:
            assert (await k.ready())[0] == "True"
