"""A release in the fleet: what helm installs, KubeRay and our operator as processes, and Ray, which is played."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.apiserver import a_task, with_token
from support.fleet import machines
from support.fleet.heldray import HeldRay
from support.fleet.scaling import Autoscaler
from support.fleet.servers import NAMESPACE, ROOT, Fleet, trust, until
from support.kuberay import crd
from velum.storage import BlobStore

Json = dict[str, Any]

RELEASE = "velum"
CHART = ROOT / "charts" / "velum"
VALUES = CHART / "ci" / "fleet-values.yaml"
MODELS = ("slices", "street")
KUBERAY = "kuberay-operator"
# More than the chart's operator has: all orders go to one address here, whose pods do not exist.
WORKERS = 16


@dataclass(frozen=True)
class Release:
    """What the tests look at."""

    fleet: Fleet
    ray: HeldRay
    api: httpx.Client

    def told(self) -> list[str]:
        """The applications that Serve was told to have."""
        return [each["name"] for each in self.ray.configs[-1]["applications"]] if self.ray.configs else []

    def document(self, model: str) -> Json:
        """What Serve was told about a model's one deployment."""
        (application,) = [each for each in self.ray.configs[-1]["applications"] if each["name"] == model]
        (deployment,) = application["deployments"]
        found: Json = deployment
        return found

    def cluster(self, which: str = "active") -> str:
        """The name of the RayCluster of the RayService that is "active", or "pending": that is being prepared."""
        answer = self.api.get(f"/apis/ray.io/v1/namespaces/{NAMESPACE}/rayservices/{RELEASE}")
        status = answer.json().get("status") or {}  # of an answer that there is none: a text
        told = status.get(f"{which}ServiceStatus") if isinstance(status, dict) else {}
        return str((told or {}).get("rayClusterName") or "")

    def autoscaler(self) -> Autoscaler:
        return Autoscaler(self.api, NAMESPACE, self.cluster())

    def pods(self, group: str) -> list[Json]:
        """The pods of a worker group that are not on their way out."""
        found = self.api.get(
            f"/api/v1/namespaces/{NAMESPACE}/pods", params={"labelSelector": f"ray.io/group={group}"}
        ).raise_for_status()
        return [pod for pod in found.json()["items"] if "deletionTimestamp" not in pod["metadata"]]

    def nodes(self, group: str) -> Counter[str]:
        """How many pods of a worker group each node has; "" for those that wait for one."""
        return Counter(pod["spec"].get("nodeName", "") for pod in self.pods(group))

    def settled(self, group: str, count: int, waiting: int = 0) -> Counter[str]:
        """Wait until a group has so many pods, of which so many have no node; its nodes."""

        def is_so() -> bool:
            nodes = self.nodes(group)
            running = [pod for pod in self.pods(group) if pod["status"]["phase"] == "Running"]
            return (nodes.total(), nodes[""], len(running)) == (count, waiting, count - waiting)

        until(is_so, lambda: f"{group} has {self.nodes(group)} instead of {count}, {waiting} of them waiting")
        return self.nodes(group)

    def ready(self) -> dict[str, tuple[str, str]]:
        """Each model's condition Ready, and its message."""
        found = {}
        for model in self.fleet.get("anonymizationmodels")["items"]:
            status = model.get("status") or {}
            ready = [each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"]
            found[model["metadata"]["name"]] = ("".join(ready), str(status.get("message")))
        return found

    def submit(self, model: str, numbers: range) -> None:
        """Create a task for each number, in their order."""
        path = f"/apis/velum.dev/v1alpha1/namespaces/{NAMESPACE}/anonymizationtasks"
        for number in numbers:
            task = a_task(f"{model}-{number:04}", model=model)
            self.api.post(path, json=task).raise_for_status()

    def phases(self) -> Counter[str]:
        """How many tasks are in each phase."""
        path = f"/apis/velum.dev/v1alpha1/namespaces/{NAMESPACE}/anonymizationtasks"
        found = self.api.get(path).raise_for_status().json()["items"]
        return Counter(task.get("status", {}).get("phase", "") for task in found)


@contextmanager
def installed(fleet: Fleet) -> Iterator[Release]:
    """Install the chart with KubeRay's types in a fleet, and run what would run in its pods, as far as it is ours."""
    server, token, context = trust(fleet.kubeconfig)
    headers = {"Authorization": f"Bearer {token}"}
    ray = HeldRay(BlobStore(f"file://{fleet.state}/output"))
    for model in MODELS:
        ray.say(model, "DEPLOYING")
    with ExitStack() as stack:
        api = stack.enter_context(
            httpx.Client(base_url=server, verify=context, headers=headers, timeout=60, trust_env=False)
        )
        stack.enter_context(ray.in_a_thread())
        fleet.apply(*machines.fleet(), machines.runtime_class())
        fleet.kubectl("create", "namespace", NAMESPACE)
        stack.enter_context(_kuberay(fleet, ray))
        fleet.helm("install", RELEASE, CHART, f"--values={VALUES}")
        stack.enter_context(_operator(fleet, ray))
        yield Release(fleet, ray, api)


def _kuberay(fleet: Fleet, ray: HeldRay) -> Any:
    folder = crd().parent
    fleet.kubectl("apply", "--server-side", "-f", folder)
    until(lambda: fleet.serves("rayclusters", "rayservices", "rayjobs"), "the server does not serve KubeRay's types")
    flags = ["--metrics-addr=0", "--health-probe-bind-address=0", "--enable-leader-election=false", "--qps=500"]
    return fleet.running(KUBERAY, f"--kubeconfig={fleet.kubeconfig}", *flags, "--burst=1000", HTTP_PROXY=ray.url)


def _operator(fleet: Fleet, ray: HeldRay) -> Any:
    """Our operator and what its pod does first, with the rights that the chart gives its account."""
    token = fleet.kubectl("create", "token", f"{RELEASE}-operator", "--duration=1h").strip()
    kubeconfig = with_token(fleet.kubeconfig, token, fleet.state / "operator.kubeconfig")
    told = {
        "VELUM_STORAGE_INPUT": f"file://{fleet.state}/input",
        "VELUM_STORAGE_OUTPUT": f"file://{fleet.state}/output",
        "VELUM_CONTROLLER_NAMESPACE": NAMESPACE,
        "VELUM_CONTROLLER_METRICS_PORT": "0",
        "VELUM_CONTROLLER_WORKERS": str(WORKERS),
        "VELUM_SERVING_DASHBOARD": ray.url,
        "VELUM_SERVING_URL": ray.url,
        "VELUM_SERVING_RAYSERVICE": f"{RELEASE}-ray",
        "VELUM_SERVING_TOKEN": "played",
        "VELUM_API_ENDPOINT": "http://velum.example",
    }
    models = fleet.state / "models.yaml"
    models.write_text(fleet.get("configmap", f"{RELEASE}-models")["data"]["models.yaml"])
    argv = [sys.executable, "-m", "velum_cli.release", "models", f"--file={models}", f"--owner={RELEASE}-models"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(fleet.state), **told}
    done = subprocess.run([*argv, f"--kubeconfig={kubeconfig}"], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    program = Path(sys.executable).with_name("velum")
    return fleet.running("velum", "operator", f"--kubeconfig={kubeconfig}", program=program, **told)
