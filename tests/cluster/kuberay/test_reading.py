"""What a RayService's status makes of the models' own."""

import asyncio
from typing import Any

import pytest

from support.kuberay import serving, status, template
from support.kuberayrelease import TOKEN, Release, up
from support.playedray import PlayedRay
from velum.settings import Settings
from velum_operator import kuberay as kuberay_module


class TestReading:
    async def test_ready_replicas_and_endpoints(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        ray.serve("default")
        async with up(controlplane, given, release, "default") as k:
            assert await k.ready() == ("True", "Deployed", "takes tasks")
            found = (await k.store.get_model("default")).status
            assert (found.replicas, found.endpoints, found.endpoint) == (1, 1, f"{ray.url}/default")
            assert k.room()

    async def test_without_the_dashboard_kuberays_word_counts(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        ray.serve("default")
        async with up(controlplane, given, release, "default") as k:
            await ray.stop()
            await k.keeper.look()
            assert (await k.ready())[:2] == ("True", "Deployed")
            assert (await k.store.get_model("default")).status.replicas == 1  # the last that was counted
            assert k.room()

    async def test_a_dashboard_that_does_not_answer_is_not_waited_for(
        self, controlplane: Any, given: Settings, release: Release, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a network policy that drops packets looks like."""
        monkeypatch.setattr(kuberay_module, "ASK_SECONDS", 0.2)
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        serving_settings = given.serving.model_copy(update={"dashboard": f"http://127.0.0.1:{port}"})
        try:
            changed = given.model_copy(update={"serving": serving_settings})
            async with up(controlplane, changed, release, "default") as k:
                assert (await k.ready())[:2] == ("True", "Deployed")
        finally:
            silent.close()

    async def test_the_token_is_the_one_that_kuberay_made(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        ray.serve("default")
        serving_settings = given.serving.model_copy(update={"token": None})
        async with up(controlplane, given.model_copy(update={"serving": serving_settings}), release, "default") as k:
            await release.install(template(authOptions={"mode": "token"}))
            await k.keeper.look()
            assert (await k.store.get_model("default")).status.replicas == 0  # no Secret yet: nobody could ask
            await release.token("velum-abcde", TOKEN)
            await k.keeper.look()
            assert (await k.store.get_model("default")).status.replicas == 1

    async def test_what_is_missing_for_it_to_be_ready_is_said_and_no_work_handed_out(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            await release.report(status(active="velum-abcde", applications={"default": "RUNNING"}))
            await k.keeper.look()
            assert await k.ready() == ("False", "Deploying", "RayService 'velum': RayService is initializing")
            assert not k.room()

    async def test_an_upgrade_closes_nothing(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        ray.serve("default")
        async with up(controlplane, given, release, "default") as k:
            await release.report(status(active="velum-abcde", pending="velum-fghij", preparing={}, endpoints=2))
            await k.keeper.look()
            state, reason, message = await k.ready()
            assert (state, reason) == ("True", "Deployed")
            assert "Ray cluster velum-fghij is being prepared to take over: not deployed there yet" in message
            assert k.room()
            await ray.stop()  # and now nobody knows how the old one is
            await k.keeper.look()
            assert (await k.ready())[:2] == ("False", "Deploying")
            assert k.room()

    async def test_too_few_workers_are_a_note_and_no_error(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        async with up(controlplane, given, release, "default") as k:
            await k.put("default", scale={"maxReplicas": 9})
            await k.put("gpu", gpuPercent=50)
            await k.keeper.look()
            await release.report(serving("default", "gpu"))
            await k.keeper.look()
            state, _, message = await k.ready()
            assert state == "True"
            assert message == "takes tasks; maxReplicas is 9, but the worker groups have room for 8 at their most"
            assert "no worker group has pods with 1 CPUs and 0.5 GPUs" in (await k.ready("gpu"))[2]

    async def test_another_ray_in_the_image_than_in_the_values_is_told(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        ray.version = "2.59.1"
        ray.serve("default")
        async with up(controlplane, given, release, "default") as k:
            assert "the worker image has Ray 2.59.1, but ray.version says 2.60.0" in (await k.ready())[2]
