"""Models that fail under KubeRay, a KubeRay that is not as it should be, rights that are missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import with_token
from support.kuberay import CONFIGMAP, serving, status, template
from support.kuberayrelease import Release, kept
from support.operatorkit import until_async
from velum.errors import Unavailable
from velum.settings import Settings
from velum.tasks.kubernetes import load_client
from velum_operator.kuberay import KubeRayService


class TestFailing:
    async def test_a_model_that_fails_does_not_hold_up_the_others_of_a_first_cluster(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        """KubeRay makes the Services when every application runs: one bad pack would keep all models from serving."""
        await release.install()
        async with kept(controlplane, given) as k:
            await k.put("bad")
            await k.put("good")
            await k.keeper.look()
            preparing = {"good": "RUNNING", "bad": "DEPLOY_FAILED no pack 'centrefaec'"}
            await release.report(status(pending="velum-first", preparing=preparing))
            await k.keeper.look()
            assert await release.served() == ["good"]
            state, reason, message = await k.ready("bad")
            assert (state, reason) == ("False", "DeployFailed")
            assert "no pack 'centrefaec'; is left out until a Ray cluster serves" in message
            await k.keeper.look()
            assert await release.served() == ["good"]  # and it stays so
            await release.report(serving("good"))
            await k.keeper.look()
            assert await release.served() == ["bad", "good"]  # it can do no harm any more, and Ray tells how it fares
            assert (await k.ready("good"))[0] == "True"

    async def test_one_that_is_mended_is_tried_again_at_once(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        await release.install()
        async with kept(controlplane, given) as k:
            await k.put("bad")
            await k.keeper.look()
            await release.report(status(pending="velum-first", preparing={"bad": "DEPLOY_FAILED no such pack"}))
            await k.keeper.look()
            assert await release.served() == []
            await k.put("bad", packs=["velum-street"])
            await release.report(status(pending="velum-first", preparing={}))
            await k.keeper.look()
            assert await release.served() == ["bad"]

    async def test_a_template_that_kuberay_does_not_know_is_refused_with_the_field(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        """An older KubeRay that dropped `authOptions` in silence would leave Ray open."""
        await release.install(template(authOptoins={"mode": "token"}))
        async with kept(controlplane, given) as k:
            await k.put("default")
            await k.keeper.look()
            assert await release.rayservices() == []
            _, reason, message = await k.ready()
            assert reason == "DeployFailed"
            assert "authOptoins" in message

    async def test_without_its_configmap_models_wait_and_say_for_what(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with kept(controlplane, given) as k:
            await k.put("default")
            await k.keeper.look()
            _, reason, message = await k.ready()
            assert reason == "RayUnavailable"
            assert f"there is no ConfigMap '{CONFIGMAP}'" in message
            assert "serving.rayservice" in message
            await release.install()
            await k.keeper.look()
            assert await release.served() == ["default"]

    async def test_what_we_may_not_do_is_named(
        self, controlplane: Any, given: Settings, release: Release, tmp_path: Path
    ) -> None:
        await release.install()
        here = ["-n", release.namespace]
        controlplane.kubectl("create", "serviceaccount", "operator", *here)
        rules = ["--verb=get", "--resource=configmaps", "--resource=rayservices.ray.io"]
        controlplane.kubectl("create", "role", "operator", *rules, *here)
        whom = ["--role=operator", f"--serviceaccount={release.namespace}:operator"]
        controlplane.kubectl("create", "rolebinding", "operator", *whom, *here)
        token = controlplane.kubectl("create", "token", "operator", *here).strip()
        kubeconfig = with_token(controlplane.kubeconfig, token, tmp_path / "operator")
        async with kept(controlplane, given, kubeconfig) as k:
            await k.put("default")
            await k.keeper.look()
            _, reason, message = await k.ready()
            assert reason == "RayUnavailable"
            assert f"not allowed to patch rayservices.ray.io in namespace {release.namespace}" in message
            controlplane.kubectl("delete", "role", "operator", *here)
            rules[0] = "--verb=get,create,patch"
            controlplane.kubectl("create", "role", "operator", *rules, *here)  # and these are enough

            async def made() -> bool:
                await k.keeper.look()
                return bool(await release.rayservices())

            assert await until_async(made)

    async def test_without_kuberay_it_says_how_to_get_it(
        self, private_plane: Callable[[], Any], given: Settings
    ) -> None:
        plane = private_plane()
        client = await load_client(plane.kubeconfig)
        try:
            await Release(client, "default").install()
            backend = KubeRayService(client, "default", given.serving)
            for call in (backend.deployed(), backend.apply({"applications": []})):
                with pytest.raises(Unavailable, match=r"does not know rayservices\.ray\.io; install KubeRay"):
                    await call
        finally:
            await client.close()
