"""Models served by a RayService: on a real API server, with KubeRay's real definitions.

KubeRay's controller is what a test plays here, by writing a status as it would; Ray's dashboard and Serve's proxy are
played over HTTP. On a real node `hack/cluster e2e` runs KubeRay and Ray themselves.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.register_assert_rewrite("support.operatorkit", "support.playedray")

from prometheus_client import CollectorRegistry  # noqa: E402

from support.apiserver import with_token  # noqa: E402
from support.kuberay import (  # noqa: E402
    CONFIGMAP,
    KEY,
    NAME,
    NoModule,
    crd,
    group,
    install,
    serving,
    status,
    template,
)
from support.operatorkit import PATIENCE, settings, storage_of, until_async  # noqa: E402
from support.playedray import PlayedRay  # noqa: E402
from support.samples import ManualClock, model_spec, spec  # noqa: E402
from velum.api.conditions import READY, condition  # noqa: E402
from velum.errors import Unavailable  # noqa: E402
from velum.settings import Settings  # noqa: E402
from velum.tasks.kubernetes import KubernetesStore, load_client  # noqa: E402
from velum.tasks.kubernetes.collection import Collection  # noqa: E402
from velum.tasks.store import ModelEvent  # noqa: E402
from velum_operator import kuberay as kuberay_module  # noqa: E402
from velum_operator.kuberay import KubeRayService  # noqa: E402
from velum_operator.metrics import ControllerMetrics  # noqa: E402
from velum_operator.models import ModelKeeper  # noqa: E402
from velum_operator.run import run_operator  # noqa: E402
from velum_operator.slots import Slots  # noqa: E402

TOKEN = "ray-token"


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


@pytest.fixture(scope="session")
def kuberay(controlplane: Any) -> None:
    """The server knows RayServices."""
    try:
        install(controlplane)
    except NoModule as error:
        pytest.skip(str(error))


@pytest.fixture
async def release(controlplane: Any, namespace: str, kuberay: None) -> AsyncIterator[Release]:
    client = await load_client(controlplane.kubeconfig)
    try:
        release = Release(client, namespace)
        yield release
        await release.remove()
    finally:
        await client.close()


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs, token=TOKEN) as ray:
        yield ray


@pytest.fixture
def given(tmp_path: Path, namespace: str, ray: PlayedRay) -> Settings:
    return settings(
        tmp_path,
        controller={"namespace": namespace, "metrics_port": 0, "workers": 4},
        serving={"dashboard": ray.url, "url": ray.url, "rayservice": CONFIGMAP, "token": TOKEN},
    )


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


class TestOperator:
    async def test_a_task_waits_for_kuberay_and_is_done(
        self, controlplane: Any, given: Settings, release: Release, ray: PlayedRay
    ) -> None:
        await release.install()
        async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:
            await store.put_model("default", model_spec())
            await store.create("street", spec(), labels={})
            stop = asyncio.Event()
            operating = asyncio.create_task(run_operator(given, controlplane.kubeconfig, stop, host="127.0.0.1"))
            try:
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
            finally:
                stop.set()
                await asyncio.wait_for(operating, PATIENCE)

    async def test_operators_that_die_leave_one_rayservice(
        self, controlplane: Any, given: Settings, release: Release
    ) -> None:
        await release.install()
        async with KubernetesStore(await load_client(controlplane.kubeconfig), release.namespace) as store:
            await store.put_model("default", model_spec())
        for life in range(3):
            stop = asyncio.Event()
            operating = asyncio.create_task(
                run_operator(given, controlplane.kubeconfig, stop, identity="same", host="127.0.0.1")
            )
            if life == 0:
                await eventually(release, ["default"])
                uid = (await release.rayservice())["metadata"]["uid"]
            elif life == 1:
                await asyncio.sleep(0)  # killed at once, wherever it was
            else:
                await eventually(release, ["default"])
            operating.cancel()
            await asyncio.wait([operating])
        found = (await release.rayservice())["metadata"]
        assert (found["uid"], found["generation"]) == (uid, 1)


async def eventually(release: Release, names: list[str]) -> None:
    """Wait until exactly these models are in the document."""

    async def served() -> bool:
        return bool(await release.rayservices()) and await release.served() == names

    await until_async(served)


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
