"""The operator on a real API server: kopf, the lease, real resources. Only Ray Serve is played (over real HTTP)."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.operatorkit import settings, storage_of, until, until_async
from support.playedray import PlayedRay
from support.runningoperator import beside, operator
from support.samples import model_spec, spec
from velum.api.conditions import condition
from velum.api.status import Phase
from velum.errors import NotFound, Unavailable
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.order import WorkOrder
from velum_operator.run import run_operator


@pytest.fixture
async def store(controlplane: Any, namespace: str) -> AsyncIterator[KubernetesStore]:
    async with KubernetesStore(await load_client(controlplane.kubeconfig), namespace) as store:
        yield store


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs) as ray:
        yield ray


@pytest.fixture
def given(tmp_path: Path, namespace: str, ray: PlayedRay) -> Settings:
    return beside(ray, tmp_path, namespace)


async def reached(store: KubernetesStore, name: str, holds: Any) -> Any:
    async def look() -> Any:
        task = await store.get(name)
        return task if holds(task) else None

    return await until_async(look)


def done(task: Any) -> bool:
    return task.status.finished


async def gone(store: KubernetesStore, name: str) -> None:
    async def look() -> bool:
        try:
            await store.get(name)
        except NotFound:
            return True
        return False

    await until_async(look)


def manifest(name: str, **fields: Any) -> dict[str, Any]:
    """A task as a person applies it: no finalizer, no status."""
    return {
        "apiVersion": "velum.dev/v1alpha1",
        "kind": "AnonymizationTask",
        "metadata": {"name": name},
        "spec": spec(**fields).wire(),
    }


async def versions_of(store: KubernetesStore, name: str, changes: list[Any]) -> None:
    """Collect every version of a task that the API server shows, until cancelled."""
    async for event in store.watch():
        if event.task.name == name:
            changes.append(event.task)  # noqa: PERF401 - endless


class TestLife:
    async def test_applied_with_kubectl_it_completes_in_two_status_writes(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings
    ) -> None:
        await store.put_model("default", model_spec())
        versions: list[Any] = []
        watching = asyncio.create_task(versions_of(store, "street", versions))
        async with operator(given, controlplane.kubeconfig):
            await asyncio.to_thread(controlplane.apply, manifest("street"), namespace=namespace)
            wait = ["wait", "-n", namespace, "anontask/street", "--for=condition=Complete", "--timeout=20s"]
            await asyncio.to_thread(controlplane.kubectl, *wait)
            task = await store.get("street")
            await until(lambda: versions and versions[-1].metadata.resource_version == task.metadata.resource_version)
        watching.cancel()
        assert task.status.result.attempt == 1
        assert condition(task.status.conditions, "Complete").observed_generation == 1
        statuses = [version.status for version in versions]
        writes = sum(1 for before, after in pairwise(statuses) if before != after)
        assert writes == 2  # Running with the attempt, Complete with the result
        assert len(versions) <= 4  # created, finalizer, and these two: nothing else touches the object
        annotations = set(task.metadata.annotations) - {"kubectl.kubernetes.io/last-applied-configuration"}
        assert annotations == set()
        assert task.metadata.finalizers == ("velum.dev/files",)

    async def test_describe_shows_what_happened(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings
    ) -> None:
        await store.put_model("default", model_spec())
        async with operator(given, controlplane.kubeconfig):
            await store.create("street", spec(), labels={})
            await reached(store, "street", done)
            describe = ["describe", "-n", namespace, "anontask", "street"]

            async def shown() -> str | None:
                text = await asyncio.to_thread(controlplane.kubectl, *describe)
                return text if "Anonymized" in text.split("Events:")[-1] else None

            assert "2 face" in await until_async(shown)

    async def test_delete_removes_files_and_finalizer(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings
    ) -> None:
        await store.put_model("default", model_spec())
        storage = storage_of(given)
        async with operator(given, controlplane.kubeconfig) as running:
            task = await store.create("street", spec(), labels={})
            await storage.inputs.put(f"{task.folder}input", b"original")
            await reached(store, "street", done)
            await asyncio.to_thread(controlplane.kubectl, "delete", "-n", namespace, "anontask", "street")
            await gone(store, "street")
            assert await storage.inputs.below(task.folder) == await storage.outputs.below(task.folder) == []
            await until(lambda: running.metric("velum_tasks", condition="complete") == 0)

    async def test_suspend_and_resume_with_kubectl(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("default", model_spec())
        ray.answers.append(never)
        async with operator(given, controlplane.kubeconfig):
            await store.create("street", spec(), labels={})
            await until(lambda: ray.orders)
            patch = ["patch", "-n", namespace, "anontask", "street", "--type=merge", "-p"]
            await asyncio.to_thread(controlplane.kubectl, *patch, '{"spec":{"suspend":true}}')
            await reached(store, "street", lambda task: task.status.phase is Phase.SUSPENDED)
            await until(lambda: ray.closed == ["street"])
            await asyncio.to_thread(controlplane.kubectl, *patch, '{"spec":{"suspend":false}}')
            task = await reached(store, "street", done)
            assert task.status.result.attempt == 2

    async def test_a_model_that_comes_later_wakes_its_tasks(
        self, controlplane: Any, store: KubernetesStore, given: Settings
    ) -> None:
        async with operator(given, controlplane.kubeconfig):
            await store.create("street", spec(), labels={})
            waiting = await reached(store, "street", lambda task: task.status.reason == "ModelNotFound")
            assert "default" in waiting.status.message
            await store.put_model("default", model_spec())
            assert (await reached(store, "street", done)).status.complete
            model = await until_async(lambda: _ready(store))
            assert condition(model.status.conditions, "Ready").reason == "Deployed"

    async def test_rays_head_dies_with_many_orders(
        self, controlplane: Any, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        names = [f"t{i}" for i in range(5)]
        await store.put_model("default", model_spec())
        ray.answers += [never] * len(names)
        async with operator(given, controlplane.kubeconfig):
            for name in names:
                await store.create(name, spec(backoffLimit=0), labels={})
            await until(lambda: len(ray.orders) == len(names))
            await ray.stop()
            await ray.start()
            for name in names:
                status = (await reached(store, name, done)).status
                assert (status.complete, status.failures, status.disruptions) == (True, 0, 1)

    async def test_many_tasks_at_once(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("default", model_spec())
        async with operator(given, controlplane.kubeconfig) as running:
            names = [f"t{i:03}" for i in range(60)]
            await asyncio.gather(*(store.create(name, spec(), labels={}) for name in names))
            for name in names:
                await reached(store, name, done)
            assert sorted(order.task for order in ray.orders) == names
            await until(lambda: running.metric("velum_tasks", condition="complete") == 60)
            await asyncio.gather(*(store.delete(name) for name in names))
            await until(lambda: running.metric("velum_tasks", condition="complete") == 0)
            assert await storage_of(given).outputs.folders(f"tasks/{namespace}/") == []


class TestRestarts:
    async def test_stopped_and_started_again_it_goes_on(
        self, controlplane: Any, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("default", model_spec())
        ray.answers.append(never)
        async with operator(given, controlplane.kubeconfig) as first:
            await store.create("street", spec(backoffLimit=0), labels={})
            await until(lambda: ray.orders)
            await first.crash()
        async with operator(given, controlplane.kubeconfig):
            task = await reached(store, "street", done)
        assert task.status.complete
        assert task.status.failures == 0
        assert [order.attempt for order in ray.orders] == [1, 2]

    async def test_killed_with_sigkill_nothing_is_lost(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings, ray: PlayedRay, tmp_path: Path
    ) -> None:
        """The operator as a process of its own, killed while the replica works; the replica gets done meanwhile."""
        await store.put_model("default", model_spec())
        release = asyncio.Event()

        async def slow(order: WorkOrder) -> Any:
            await asyncio.shield(finish(order, release, ray))
            raise asyncio.CancelledError

        ray.answers.append(slow)
        program = textwrap.dedent(
            """
            import asyncio, pathlib, sys
            from support.operatorkit import settings
            from velum_operator.run import run_operator
            folder, kubeconfig, namespace, url = sys.argv[1:]
            given = settings(
                pathlib.Path(folder),
                controller={"namespace": namespace, "metrics_port": 0},
                serving={"dashboard": url, "url": url},
            )
            asyncio.run(run_operator(given, pathlib.Path(kubeconfig), asyncio.Event()))
            """
        )
        arguments = [str(tmp_path), str(controlplane.kubeconfig), namespace, ray.url]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, *arguments,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await store.create("street", spec(), labels={})
            await until(lambda: ray.orders)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        release.set()
        storage = storage_of(given)
        await until_async(lambda: _exists(storage.outputs, ray.orders[0].manifest_key))
        await asyncio.to_thread(expire_lease, controlplane, namespace)
        async with operator(given, controlplane.kubeconfig):
            task = await reached(store, "street", done)
        assert task.status.result.attempt == 1  # found by its manifest: the work was not done twice
        assert len(ray.orders) == 1


class TestLeadership:
    async def test_only_the_leader_acts_and_the_other_takes_over(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("default", model_spec())
        async with operator(given, controlplane.kubeconfig, "one") as one:
            await until_async(lambda: _led_by(controlplane, namespace, "one"))
            async with operator(given, controlplane.kubeconfig, "two") as two:
                await asyncio.gather(*(store.create(f"a{i}", spec(), labels={}) for i in range(5)))
                for i in range(5):
                    await reached(store, f"a{i}", done)
                assert one.metric("velum_attempts_total", result="succeeded") == 5
                assert two.metric("velum_reconcile_total", result="ok") == 0
                await one.stop()
                await store.create("b", spec(), labels={})
                await reached(store, "b", done)
                assert await _led_by(controlplane, namespace, "two")
                assert two.metric("velum_attempts_total", result="succeeded") == 1
        assert len(ray.orders) == 6

    async def test_the_lease_is_the_mark_on_the_storage(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings
    ) -> None:
        """It outlives every operator: the next one finds the storage marked as its own, and needs no further right."""
        await store.put_model("default", model_spec())
        mark, outputs = f"tasks/{namespace}/.owner", storage_of(given).outputs
        path = ["get", "lease", "velum-operator", "-n", namespace, "-o", "jsonpath={.metadata.uid}"]
        async with operator(given, controlplane.kubeconfig):
            await until_async(lambda: _exists(outputs, mark))
        for turn in range(2):
            uid = await asyncio.to_thread(controlplane.kubectl, *path)
            assert (await outputs.get(mark)).decode() == f"{uid}\n"
            async with operator(given, controlplane.kubeconfig, identity="two"):
                await store.create(f"street-{turn}", spec(), labels={})
                await reached(store, f"street-{turn}", done)

    async def test_who_sees_another_holder_stops(
        self,
        controlplane: Any,
        namespace: str,
        store: KubernetesStore,
        given: Settings,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level("INFO", "velum_operator")
        async with operator(given, controlplane.kubeconfig, "one"):
            await until_async(lambda: _led_by(controlplane, namespace, "one"))
            patch = {"spec": {"holderIdentity": "usurper", "leaseDurationSeconds": 3600}}
            lease = ["patch", "lease", "velum-operator", "-n", namespace, "--type=merge", "-p", json.dumps(patch)]
            await asyncio.to_thread(controlplane.kubectl, *lease)
            await until(lambda: "usurper holds the lease" in caplog.text)
            await until(lambda: "one waits: usurper leads" in caplog.text)  # its parts have ended by then
            task = await store.create("street", spec(), labels={})
            assert not task.status.finished
            assert (await store.get("street")).metadata.resource_version == task.metadata.resource_version
            assert await _led_by(controlplane, namespace, "usurper")

    async def test_a_holder_that_died_is_succeeded_when_its_lease_runs_out(
        self, controlplane: Any, namespace: str, store: KubernetesStore, given: Settings
    ) -> None:
        dead = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "velum-operator"},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 4},
        }
        await asyncio.to_thread(controlplane.apply, dead, namespace=namespace)
        await store.put_model("default", model_spec())
        await store.create("street", spec(), labels={})
        async with operator(given, controlplane.kubeconfig, "one"):
            await reached(store, "street", done)
            lease = await asyncio.to_thread(controlplane.get, "lease", "velum-operator", "-n", namespace)
            assert lease["spec"]["holderIdentity"] == "one"
            assert lease["spec"]["leaseTransitions"] == 5


class TestApiServerGone:
    async def test_running_work_is_kept_and_published_when_it_is_back(
        self, private_plane: Any, tmp_path: Path, ray: PlayedRay
    ) -> None:
        plane = await asyncio.to_thread(private_plane)
        crds = [f"--filename={file}" for file in sorted((Path(__file__).parents[2] / "crds").glob("*.yaml"))]
        await asyncio.to_thread(plane.kubectl, "apply", "--server-side", *crds)
        await asyncio.to_thread(plane.kubectl, "wait", "--for=condition=Established", *crds)
        given = settings(tmp_path, controller={"metrics_port": 0}, serving={"dashboard": ray.url, "url": ray.url})
        release = asyncio.Event()

        async def slow(order: WorkOrder) -> Any:
            await release.wait()
            return await ray._succeed(order)

        ray.answers.append(slow)
        async with (
            KubernetesStore(await load_client(plane.kubeconfig), "default") as store,
            operator(given, plane.kubeconfig),
        ):
            await store.put_model("default", model_spec())
            await store.create("street", spec(backoffLimit=0), labels={})
            await until(lambda: ray.orders)
            os.kill(plane.pids()["kube-apiserver"], signal.SIGKILL)
            await until_async(lambda: _away(store))
            release.set()  # the picture is done while nobody can be told
            await until_async(lambda: _exists(storage_of(given).outputs, ray.orders[0].manifest_key))
            back = await asyncio.to_thread(plane.up)
            assert back.returncode == 0, back.stderr
            task = await reached_again(store, "street")
            assert task.status.complete
            assert task.status.result.attempt == 1
            await store.create("after", spec(), labels={})  # and the watch is alive again
            assert (await reached_again(store, "after")).status.complete
            assert len(ray.orders) == 2


class TestHealth:
    async def test_the_pages(
        self, controlplane: Any, store: KubernetesStore, given: Settings, unused_tcp_port: int
    ) -> None:
        controller = given.controller.model_copy(update={"metrics_port": unused_tcp_port})
        given = given.model_copy(update={"controller": controller})
        await store.put_model("default", model_spec())
        async with (
            operator(given, controlplane.kubeconfig),
            aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as http,
        ):
            await store.create("street", spec(), labels={})
            await reached(store, "street", done)
            async with http.get("/healthz") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")

            async def counted() -> bool:
                async with http.get("/metrics") as answer:
                    return 'velum_tasks{condition="complete"} 1.0' in await answer.text()

            await until_async(counted)

    async def test_a_taken_port_is_said_at_once(
        self, controlplane: Any, store: KubernetesStore, given: Settings, ray: PlayedRay
    ) -> None:
        controller = given.controller.model_copy(update={"metrics_port": ray.port})
        taken = given.model_copy(update={"controller": controller})
        with pytest.raises(Unavailable, match=f"port {ray.port}.*metrics_port"):
            await run_operator(taken, controlplane.kubeconfig, asyncio.Event(), host="127.0.0.1")

    async def test_without_an_api_server_it_says_so(self, given: Settings, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="kubeconfig"):
            await run_operator(given, tmp_path / "missing.kubeconfig", asyncio.Event())


async def _away(store: KubernetesStore) -> bool:
    try:
        await store.check()
    except Unavailable:
        return True
    return False


async def reached_again(store: KubernetesStore, name: str) -> Any:
    """Wait for the end of a task through a time in which the API server may still refuse."""

    async def look() -> Any:
        try:
            task = await store.get(name)
        except Unavailable:
            return None
        return task if task.status.finished else None

    async with asyncio.timeout(60):
        while (task := await look()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return task


async def never(_: WorkOrder) -> Any:
    await asyncio.Event().wait()


async def finish(order: WorkOrder, release: asyncio.Event, ray: PlayedRay) -> None:
    await release.wait()
    await ray._succeed(order)


async def _exists(blobs: Any, key: str) -> bool:
    try:
        await blobs.head(key)
    except NotFound:
        return False
    return True


async def _ready(store: KubernetesStore) -> Any:
    model = await store.get_model("default")
    ready = condition(model.status.conditions, "Ready")
    return model if ready is not None and ready.status == "True" else None


async def _led_by(controlplane: Any, namespace: str, identity: str) -> bool:
    seen = await asyncio.to_thread(
        controlplane.try_kubectl, "get", "lease", "velum-operator", "-n", namespace, "-o", "json"
    )
    return seen.returncode == 0 and json.loads(seen.stdout)["spec"]["holderIdentity"] == identity


def expire_lease(controlplane: Any, namespace: str) -> None:
    """Do what 15 s without renewal do."""
    patch = '{"spec":{"holderIdentity":""}}'
    controlplane.kubectl("patch", "lease", "velum-operator", "-n", namespace, "--type=merge", "-p", patch)
