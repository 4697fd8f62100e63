"""The token that goes with work orders: that of the Ray cluster which serves, wherever KubeRay has put it."""

import logging
from typing import Any

import pytest

from support.kuberay import serving, status
from support.kuberayrelease import Release, eventually
from support.operatorkit import until_async
from support.playedray import PlayedRay
from support.runningoperator import operator
from support.samples import model_spec, spec
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client

FIRST, SECOND = "token-of-the-first", "token-of-the-second"


@pytest.fixture
def unset(given: Settings) -> Settings:
    """Settings that name no token: KubeRay's Secrets have it."""
    return given.model_copy(update={"serving": given.serving.model_copy(update={"token": None})})


async def test_orders_follow_the_cluster_that_serves(
    controlplane: Any, unset: Settings, release: Release, ray: PlayedRay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    ray.token = FIRST
    ray.serve("default")
    await release.install()
    await release.token("velum-abcde", FIRST)
    async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:

        async def done(name: str) -> bool:
            return (await store.get(name)).status.finished

        await store.put_model("default", model_spec())
        async with operator(unset, controlplane.kubeconfig) as running:
            await eventually(release, ["default"])
            await release.report(serving("default"))
            await store.create("before", spec(), labels={})
            await until_async(lambda: done("before"))
            # KubeRay has made a second cluster, with a token of its own, and points the Service to it.
            ray.token = SECOND
            await release.token("velum-fghij", SECOND)
            await release.report(status(active="velum-fghij", applications={"default": "RUNNING"}, endpoints=1))
            await store.create("after", spec(), labels={})
            await until_async(lambda: done("after"))
            for name in ("before", "after"):
                found = (await store.get(name)).status
                assert (found.complete, found.failures) == (True, 0)
            assert [each["Authorization"] for each in ray.headers] == [f"Bearer {FIRST}", f"Bearer {SECOND}"]
            shown = str(await release.rayservice()) + str(await store.get("after")) + caplog.text
            assert FIRST not in shown
            assert SECOND not in shown
            await running.stop()


async def test_while_the_token_is_refused_nothing_is_lost_nor_counted(
    controlplane: Any, unset: Settings, release: Release, ray: PlayedRay
) -> None:
    """The Service points to the second cluster a moment before its Secret, or the RayService's status, is read."""
    ray.serve("default")
    ray.token = SECOND
    await release.install()
    async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:

        async def waits() -> bool:
            return "does not take our token" in (await store.get("early")).status.message

        async def done() -> bool:
            return (await store.get("early")).status.finished

        await store.put_model("default", model_spec())
        async with operator(unset, controlplane.kubeconfig) as running:
            await eventually(release, ["default"])
            await release.report(serving("default"))
            await store.create("early", spec(), labels={})
            await until_async(waits)
            found = (await store.get("early")).status
            assert (found.reason, found.failures) == ("RayUnavailable", 0)
            assert ray.orders == []
            await release.token("velum-abcde", SECOND)
            await until_async(done)
            found = (await store.get("early")).status
            assert (found.complete, found.failures) == (True, 0)
            await running.stop()
