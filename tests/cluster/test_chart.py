"""charts/velum on a real API server: what helm installs there, the rights that its accounts have, and how it goes.

There is no kubelet, so nothing of it runs but what a test runs itself, under the service accounts of the chart.
"""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import helmchart, kuberay, kubeschemas
from support.apiserver import with_token
from support.helmchart import CHART, Helm, Json, of_kind, pods
from support.operatorkit import settings, storage_of, until_async
from support.playedray import PlayedRay
from support.runningoperator import operator
from support.samples import spec
from velum.errors import NotFound
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.store import SecretHeader

CI = CHART / "ci"
EXTERNAL = [
    "--set=ray.mode=external",
    "--set=ray.external.dashboard=http://ray:8265",
    "--set=ray.external.url=http://ray:8000",
]
CLUSTERS = "rayclusters.ray.io"
LEASE = {"name": "velum-operator"}


@pytest.fixture(scope="module")
def helm() -> Helm:
    try:
        return helmchart.helm()
    except helmchart.NoHelm as error:
        pytest.skip(str(error))


@pytest.fixture
def plane(private_plane: Callable[[], Any]) -> Any:
    return private_plane()


def installed(helm: Helm, plane: Any, verb: str, *flags: str | Path, namespace: str = "privacy") -> str:
    """helm install or upgrade of the chart as `velum`, with the smallest set of values."""
    where = [f"--kubeconfig={plane.kubeconfig}", f"--namespace={namespace}", "--create-namespace"]
    words = [verb, "velum", CHART, "--values", CI / "minimal-values.yaml", *where, *flags]
    return helm.run(*[word for word in words if verb == "install" or word != "--create-namespace"])


def release(plane: Any, *words: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m velum_cli.release`, as the chart's pods run it."""
    argv = [sys.executable, "-m", "velum_cli.release", *words, f"--kubeconfig={kubeconfig or plane.kubeconfig}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def account(plane: Any, namespace: str, name: str, folder: Path) -> Path:
    """A kubeconfig of a service account."""
    token = plane.kubectl("create", "token", name, "-n", namespace).strip()
    return with_token(plane.kubeconfig, token, folder / f"{name}.kubeconfig")


def names(plane: Any, kind: str, namespace: str) -> set[str]:
    found = plane.kubectl("get", kind, "-n", namespace, "-o", "name").split()
    return {each.partition("/")[2] for each in found}


class TestObjects:
    def test_the_server_takes_every_set_of_values(self, helm: Helm, plane: Any) -> None:
        """And holds every pod to the Pod Security Standard `restricted`."""
        given = {file.stem: helm.objects("--values", file) for file in helmchart.VALUES}
        ours = [CHART.parents[1] / "crds", kuberay.crd().parent]
        gateway = kubeschemas.module("sigs.k8s.io/gateway-api", CHART.parents[1] / "hack" / "gotools" / "gateway")
        for folder in [*ours, gateway / "config" / "crd" / "standard"]:
            plane.kubectl("apply", "--server-side", "-f", folder)
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        plane.kubectl("create", "namespace", helmchart.NAMESPACE)
        plane.kubectl("label", "namespace", helmchart.NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        plane.apply(
            {
                "apiVersion": "node.k8s.io/v1",
                "kind": "RuntimeClass",
                "metadata": {"name": "nvidia"},
                "handler": "nvidia",
            }
        )
        plane.kubectl("create", "priorityclass", "velum", "--value=1")
        for name, objects in given.items():
            service = helmchart.rayservice(objects)
            plain = [_pod(kind, pod) for kind, pod in pods(objects)]
            sent = [
                each
                for each in [*objects, service, *plain]
                if each and "monitoring.coreos.com" not in each["apiVersion"]
            ]
            text = yaml.safe_dump_all(sent)
            flags = ["--server-side", "--dry-run=server", "--validate=strict", "-n", helmchart.NAMESPACE, "-f", "-"]
            said = plane.try_kubectl("apply", *flags, stdin=text)
            assert said.returncode == 0, f"{name}: {said.stderr}"
            assert "Warning" not in said.stderr, f"{name}: {said.stderr}"
            assert len(said.stdout.splitlines()) == len(sent)


class TestRelease:
    def test_it_is_installed_upgraded_and_goes(self, helm: Helm, plane: Any) -> None:
        installed(helm, plane, "install", *EXTERNAL)
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "anonymizationtasks.velum.dev")
        plane.apply(_task("running", finalizers=["velum.dev/files"]), namespace="privacy")
        status = ["--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Running","attempt":3}}']
        plane.kubectl("patch", "anontask", "running", "-n", "privacy", *status)
        before = plane.get("anontask", "running", "-n", "privacy")
        # As the operator makes it. Its uid is who the installation is: with another one files would be nobody's.
        plane.apply({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": LEASE}, namespace="privacy")
        lease = plane.get("lease", LEASE["name"], "-n", "privacy")["metadata"]["uid"]
        installed(helm, plane, "upgrade", *EXTERNAL, "--set=settings.limit.queue=5")
        assert plane.get("anontask", "running", "-n", "privacy") == before
        where = [f"--kubeconfig={plane.kubeconfig}", "--namespace=privacy"]
        helm.run("uninstall", "velum", "--no-hooks", *where)
        assert plane.get("anontask", "running", "-n", "privacy") == before
        assert not names(plane, "deployments,services,configmaps,roles,networkpolicies", "privacy") - {
            "kube-root-ca.crt"
        }
        installed(helm, plane, "install", *EXTERNAL)
        assert plane.get("anontask", "running", "-n", "privacy") == before
        assert plane.get("lease", LEASE["name"], "-n", "privacy")["metadata"]["uid"] == lease

    def test_the_volume_stays(self, helm: Helm, plane: Any) -> None:
        where = [f"--kubeconfig={plane.kubeconfig}", "--namespace=privacy"]
        helm.run("install", "velum", CHART, *where, "--create-namespace", *EXTERNAL)
        helm.run("uninstall", "velum", "--no-hooks", *where)
        assert names(plane, "persistentvolumeclaims", "privacy") == {"velum-storage"}

    def test_models_are_what_the_values_say(self, helm: Helm, plane: Any, tmp_path: Path) -> None:
        installed(helm, plane, "install", *EXTERNAL)
        operators = account(plane, "privacy", "velum-operator", tmp_path)

        def apply() -> None:
            found = plane.get("configmap", "velum-models", "-n", "privacy")
            file = tmp_path / "models.yaml"
            file.write_text(found["data"]["models.yaml"])
            words = ["models", f"--file={file}", "--owner=velum-models", "--namespace=privacy"]
            done = release(plane, *words, kubeconfig=operators)
            assert done.returncode == 0, done.stderr

        apply()
        apply()  # the second time the server writes down the defaults of the first
        assert names(plane, "anonmodel", "privacy") == {"default", "object-detection-v2"}
        first = plane.get("anonmodel", "default", "-n", "privacy")
        assert first["metadata"]["ownerReferences"][0]["name"] == "velum-models"
        apply()
        assert plane.get("anonmodel", "default", "-n", "privacy") == first  # nothing to say, nothing written
        own = {**first, "metadata": {"name": "own"}}
        plane.apply({key: own[key] for key in ("apiVersion", "kind", "metadata", "spec")}, namespace="privacy")
        installed(
            helm, plane, "upgrade", *EXTERNAL, "--set=models.object-detection-v2=null", "--set=models.default.threads=3"
        )
        apply()
        assert names(plane, "anonmodel", "privacy") == {"default", "own"}
        assert plane.get("anonmodel", "default", "-n", "privacy")["spec"]["threads"] == 3

    def test_a_model_that_the_server_refuses_is_named(self, plane: Any, tmp_path: Path, helm: Helm) -> None:
        installed(helm, plane, "install", *EXTERNAL)
        file = tmp_path / "models.yaml"
        spec = {"packs": ["a"], "classes": ["face"], "scale": {"minReplicas": 5, "maxReplicas": 1}}
        kind = {"apiVersion": "velum.dev/v1alpha1", "kind": "AnonymizationModel"}
        file.write_text(yaml.safe_dump({**kind, "metadata": {"name": "bad"}, "spec": spec}))
        done = release(plane, "models", f"--file={file}", "--owner=velum-models", "--namespace=privacy")
        assert done.returncode == 2
        assert "minReplicas must not be larger" in done.stderr
        file.write_text("kind: Secret\n")
        done = release(plane, "models", f"--file={file}", "--owner=velum-models", "--namespace=privacy")
        assert done.returncode == 2
        assert str(file) in done.stderr


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs) as ray:
        yield ray


class TestRights:
    """The accounts' rights suffice: whoever lacks one says so in its log, or raises."""

    @pytest.fixture
    def granted(self, helm: Helm, controlplane: Any, namespace: str) -> str:
        flags = ["--set=crds.install=false", f"--namespace={namespace}", *EXTERNAL]
        text = helm.run("template", "velum", CHART, "--values", CI / "minimal-values.yaml", *flags)
        objects = [each for each in map(helmchart.parsed, text.split("\n---\n")) if each]
        kinds = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap")
        controlplane.apply(*[each for each in objects if each["kind"] in kinds], namespace=namespace)
        return namespace

    @pytest.fixture
    def given(self, tmp_path: Path, namespace: str, ray: PlayedRay) -> Settings:
        return settings(
            tmp_path,
            controller={"namespace": namespace, "metrics_port": 0},
            serving={"dashboard": ray.url, "url": ray.url},
            webhook={"allow_private": True},
        )

    async def test_of_operator_and_ingress_for_a_tasks_life(
        self, controlplane: Any, granted: str, given: Settings, ray: PlayedRay, tmp_path: Path, caplog: Any
    ) -> None:
        caplog.set_level(logging.INFO)
        operators = await asyncio.to_thread(account, controlplane, granted, "velum-operator", tmp_path)
        ingress = await asyncio.to_thread(account, controlplane, granted, "velum-ingress", tmp_path)
        file = tmp_path / "models.yaml"
        file.write_text(controlplane.get("configmap", "velum-models", "-n", granted)["data"]["models.yaml"])
        words = ["models", f"--file={file}", "--owner=velum-models", f"--namespace={granted}"]
        done = await asyncio.to_thread(release, controlplane, *words, kubeconfig=operators)
        assert done.returncode == 0, done.stderr
        client = await load_client(ingress)
        async with operator(given, operators) as running, KubernetesStore(client, granted) as store:
            await store.check()
            await _seen_by_watches(store)
            hook = {"url": f"{ray.url}/hook"}
            header = SecretHeader("authorization", "secret")
            await store.create("street", spec(webhook=hook), labels={}, header=header)
            await until_async(lambda: _reached(store, "street"))
            assert (await store.list(limit=1)).tasks[0].name == "street"
            await store.suspend("street", True)
            await store.purge("street")
            await store.delete("street", keep_files=True)
            await until_async(lambda: _gone(store, "street"))
            assert await store.count_unfinished() == 0
            events = await asyncio.to_thread(controlplane.kubectl, "get", "events.events.k8s.io", "-n", granted)
            await running.stop()
        assert "Anonymized" in events
        assert names(controlplane, "secrets", granted) == set()
        assert "not allowed" not in caplog.text
        assert "forbidden" not in caplog.text.lower()

    def test_of_the_worker_there_are_none(self, controlplane: Any, granted: str) -> None:
        who = f"--as=system:serviceaccount:{granted}:velum-worker"
        listed = controlplane.kubectl("auth", "can-i", "--list", "-n", granted, who)
        assert "velum.dev" not in listed
        assert "secrets" not in listed

    def test_the_operator_reads_no_other_config_map(self, controlplane: Any, granted: str) -> None:
        who = f"--as=system:serviceaccount:{granted}:velum-operator"
        assert (
            controlplane.kubectl("auth", "can-i", "get", "configmap/velum-models", "-n", granted, who).strip() == "yes"
        )
        refused = controlplane.try_kubectl("auth", "can-i", "get", "configmap/kube-root-ca.crt", "-n", granted, who)
        assert refused.stdout.strip() == "no"


class TestLeaving:
    """The job before an uninstallation, under its own account."""

    @pytest.fixture
    def leaving(self, helm: Helm, controlplane: Any, namespace: str, tmp_path: Path) -> Callable[..., str]:
        kuberay.install(controlplane)
        controlplane.kubectl("apply", "--server-side", "-f", kuberay.crd().with_name("ray.io_rayclusters.yaml"))
        text = helm.run("template", "velum", CHART, "--values", CI / "minimal-values.yaml", f"--namespace={namespace}")
        objects = [each for each in map(helmchart.parsed, text.split("\n---\n")) if each]
        hooks = [each for each in objects if "pre-delete" in str(each["metadata"].get("annotations"))]
        rights = [each for each in hooks if each["kind"] != "Job"]
        assert [each["kind"] for each in rights] == ["ServiceAccount", "Role", "RoleBinding"]
        controlplane.apply(*rights, *of_kind(objects, "ConfigMap"), namespace=namespace)
        account_of = account(controlplane, namespace, "velum-pre-delete", tmp_path)
        args = next(each for each in hooks if each["kind"] == "Job")["spec"]["template"]["spec"]["containers"][0][
            "args"
        ]

        def leave(*changes: str) -> str:
            done = release(controlplane, "leave", *args, *changes, kubeconfig=account_of)
            assert done.returncode == 0, done.stderr
            return done.stderr

        return leave

    def test_tasks_that_wait_for_an_operator_are_let_go_and_others_stay(
        self, controlplane: Any, namespace: str, leaving: Callable[..., str]
    ) -> None:
        held = ["velum.dev/files"]
        controlplane.apply(_task("kept", finalizers=held), _task("going", finalizers=held), namespace=namespace)
        controlplane.kubectl("delete", "anontask", "going", "-n", namespace, "--wait=false")
        said = leaving("--deadline=1")
        assert names(controlplane, "anontask", namespace) == {"kept"}
        assert controlplane.get("anontask", "kept", "-n", namespace)["metadata"]["finalizers"] == held
        assert "task going is let go" in said

    def test_all_go_when_their_type_goes(self, controlplane: Any, namespace: str, leaving: Callable[..., str]) -> None:
        held = ["velum.dev/files"]
        controlplane.apply(*[_task(f"t{n}", finalizers=held) for n in range(5)], _task("free"), namespace=namespace)
        leaving("--deadline=1", "--tasks=delete")
        assert names(controlplane, "anontask", namespace) == set()

    def test_another_finalizer_is_not_ours_to_take(
        self, controlplane: Any, namespace: str, leaving: Callable[..., str]
    ) -> None:
        controlplane.apply(_task("theirs", finalizers=["velum.dev/files", "else.org/keep"]), namespace=namespace)
        leaving("--deadline=1", "--tasks=delete")
        left = controlplane.get("anontask", "theirs", "-n", namespace)
        assert left["metadata"]["finalizers"] == ["else.org/keep"]

    def test_ray_goes_before_those_who_could_let_it_go(
        self, controlplane: Any, namespace: str, leaving: Callable[..., str]
    ) -> None:
        cluster = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {
                "name": "velum-abcde",
                "labels": {"ray.io/originated-from-cr-name": "velum"},
                "finalizers": ["ray.io/gcs-ft-redis-cleanup-finalizer"],
            },
            "spec": kuberay.template()["spec"]["rayClusterConfig"],
        }
        other = {**cluster, "metadata": {"name": "other", "finalizers": ["ray.io/x"]}}
        controlplane.apply(kuberay.template(), cluster, other, namespace=namespace)
        controlplane.kubectl("delete", CLUSTERS, "velum-abcde", "other", "-n", namespace, "--wait=false")
        leaving("--deadline=1")
        try:
            assert names(controlplane, CLUSTERS, namespace) == {"other"}
            assert names(controlplane, "rayservices.ray.io", namespace) == set()
            assert "velum-ray" not in names(controlplane, "configmaps", namespace)
        finally:
            patch = ["--type=merge", "-p", '{"metadata":{"finalizers":null}}']
            controlplane.try_kubectl("patch", CLUSTERS, "other", "-n", namespace, *patch)

    def test_nothing_there_is_nothing_to_do(self, plane: Any) -> None:
        done = release(plane, "leave", "--namespace=default", "--deadline=1", "--rayservice=velum")
        assert done.returncode == 0, done.stderr
        assert "nothing to let go" in done.stderr


def _task(name: str, finalizers: list[str] | None = None) -> Json:
    return {
        "apiVersion": "velum.dev/v1alpha1",
        "kind": "AnonymizationTask",
        "metadata": {"name": name, "finalizers": finalizers or []},
        "spec": spec().wire(),
    }


def _pod(name: str, template: Json) -> Json:
    """A pod as its controller would make it."""
    labels = template["metadata"].get("labels", {})
    meta = {"name": f"as-{name.replace(' ', '-')}", "labels": labels, "namespace": helmchart.NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}


async def _reached(store: KubernetesStore, name: str) -> bool:
    task = await store.get(name)
    # Its webhook was tried: for that the operator had to read the header.
    return task.status.finished and task.status.webhook is not None


async def _gone(store: KubernetesStore, name: str) -> bool:
    try:
        await store.get(name)
    except NotFound:
        return True
    return False


async def _seen_by_watches(store: KubernetesStore) -> None:
    async for event in store.watch_models():
        assert event.model.name in {"default", "object-detection-v2"}
        return
