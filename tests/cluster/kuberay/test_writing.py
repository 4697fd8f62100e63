"""What the operator writes into a RayService, and when."""

from typing import Any

from support.kuberay import CONFIGMAP, group, template
from support.kuberayrelease import Release, kept, up
from velum.settings import Settings


class TestWriting:
    async def test_the_rayservice_is_made_before_any_model_is_there(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        owner = (await release.install())["metadata"]
        async with kept(controlplane, given) as k:
            await k.keeper.look()
            made = await release.rayservice()
            assert (await release.document())["applications"] == []
            (reference,) = made["metadata"]["ownerReferences"]
            assert (reference["kind"], reference["name"], reference["uid"]) == ("ConfigMap", CONFIGMAP, owner["uid"])
            assert "finalizers" not in made["metadata"]
            assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "velum-operator"

    async def test_every_model_is_served_without_replicas_and_without_a_task(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        await release.install()
        async with kept(controlplane, given) as k:
            await k.put("default")
            await k.put("street")
            await k.keeper.look()
            assert await release.served() == ["default", "street"]
            assert (await release.document())["http_options"]["host"] == "0.0.0.0"
            (deployment,) = (await release.document())["applications"][0]["deployments"]
            assert deployment["autoscaling_config"]["initial_replicas"] == 0

    async def test_a_changed_model_changes_the_document_alone(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            before = await release.rayservice()
            await k.put("default", threads=2)
            await k.keeper.look()
            after = await release.rayservice()
            assert after["metadata"]["uid"] == before["metadata"]["uid"]
            assert after["spec"]["rayClusterConfig"] == before["spec"]["rayClusterConfig"]
            assert after["spec"]["serveConfigV2"] != before["spec"]["serveConfigV2"]
            assert (await release.document())["applications"][0]["args"]["threads"] == 2

    async def test_a_model_that_goes_is_served_no_more(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default", "other") as k:
            await k.gone("other")
            await k.keeper.look()
            assert await release.served() == ["default"]

    async def test_the_same_document_is_no_write(self, controlplane: Any, given: Settings, release: Release) -> None:
        async with up(controlplane, given, release, "default") as k:
            before = (await release.rayservice())["metadata"]
            for _ in range(3):
                await k.keeper.look()
            assert (await release.rayservice())["metadata"] == before

    async def test_a_new_operator_writes_nothing_when_nothing_changed(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default"):
            before = (await release.rayservice())["metadata"]
        async with kept(controlplane, given) as k:
            await k.keeper.look()
            assert (await release.rayservice())["metadata"] == before

    async def test_a_changed_template_is_applied_whole(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            await release.install(template(rayVersion="2.61.0", workerGroupSpecs=[group(), group("gpu", 9)]))
            await k.keeper.look()
            cluster = (await release.rayservice())["spec"]["rayClusterConfig"]
            assert cluster["rayVersion"] == "2.61.0"
            assert [each["groupName"] for each in cluster["workerGroupSpecs"]] == ["cpu", "gpu"]
            await release.install()  # what the template names no more goes
            await k.keeper.look()
            cluster = (await release.rayservice())["spec"]["rayClusterConfig"]
            assert [each["groupName"] for each in cluster["workerGroupSpecs"]] == ["cpu"]
            assert await release.served() == ["default"]

    async def test_what_a_hand_changed_is_taken_back(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            await release.edit({"spec": {"serveConfigV2": "applications: []"}})
            await k.keeper.look()
            assert await release.served() == ["default"]

    async def test_a_rayservice_that_was_deleted_comes_back(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            await release.remove()
            await k.keeper.look()
            assert await release.served() == ["default"]
            status, reason, message = await k.ready()
            assert (status, reason) == ("False", "Deploying")
            assert "KubeRay has not worked on" in message
            assert not k.room()
