"""A release in the fleet: what helm installs, KubeRay and our operator as processes, and Ray, which is played."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.apiserver import a_task, over_http, with_token
from support.fleet import machines
from support.fleet.heldray import HeldRay
from support.fleet.scaling import Autoscaler
from support.fleet.servers import NAMESPACE, ROOT, Fleet, until
from support.kuberay import crd
from velum.api.meta import API_VERSION
from velum.storage import BlobStore

Json = dict[str, Any]

RELEASE = "velum"
CHART = ROOT / "charts" / "velum"
VALUES = CHART / "ci" / "fleet-values.yaml"
MODELS = ("slices", "street")
TASKS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/anonymizationtasks"
KUBERAY = "kuberay-operator"


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

    @contextmanager
    def autoscaler(self) -> Iterator[Autoscaler]:
        """Ray's autoscaler, with the rights that KubeRay gives the head in whose pod it runs."""
        (head,) = self.fleet.get("pods", "-l", "ray.io/node-type=head")["items"]
        with over_http(as_account(self.fleet, head["spec"]["serviceAccountName"])) as http:
            yield Autoscaler(http, NAMESPACE, self.cluster())

    def pods(self, group: str) -> list[Json]:
        """The pods of a worker group that are not on their way out."""
        path, wanted = f"/api/v1/namespaces/{NAMESPACE}/pods", {"labelSelector": f"ray.io/group={group}"}
        found = self.api.get(path, params=wanted).raise_for_status().json()["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

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
        for number in numbers:
            self.api.post(TASKS, json=a_task(f"{model}-{number:04}", model=model)).raise_for_status()

    def phases(self) -> Counter[str]:
        """How many tasks are in each phase."""
        found = self.api.get(TASKS).raise_for_status().json()["items"]
        return Counter(task.get("status", {}).get("phase", "") for task in found)


@contextmanager
def installed(fleet: Fleet) -> Iterator[Release]:
    """Install the chart with KubeRay's types in a fleet, and run what would run in its pods, as far as it is ours."""
    ray = HeldRay(BlobStore(f"file://{fleet.state}/output"))
    for model in MODELS:
        ray.say(model, "DEPLOYING")
    with ExitStack() as stack:
        api = stack.enter_context(over_http(fleet.kubeconfig))
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
    """Our operator and what its pod does first: with the chart's settings, and the rights that it gives the account."""
    kubeconfig = as_account(fleet, f"{RELEASE}-operator")
    settings, models = fleet.state / "config.toml", fleet.state / "models.yaml"
    settings.write_text(fleet.get("configmap", f"{RELEASE}-config")["data"][settings.name])
    models.write_text(fleet.get("configmap", f"{RELEASE}-models")["data"][models.name])
    told = {
        "VELUM_CONFIG": str(settings),
        # What is elsewhere than in the cluster that the chart is for.
        "VELUM_STORAGE_INPUT": f"file://{fleet.state}/input",
        "VELUM_STORAGE_OUTPUT": f"file://{fleet.state}/output",
        "VELUM_SERVING_DASHBOARD": ray.url,
        "VELUM_SERVING_URL": ray.url,
        "VELUM_CONTROLLER_METRICS_PORT": "0",
        "VELUM_API_ENDPOINT": "http://velum.example",
    }
    argv = [sys.executable, "-m", "velum_cli.release", "models", f"--file={models}", f"--owner={RELEASE}-models"]
    fleet.run(*argv, f"--kubeconfig={kubeconfig}", **told)
    program = Path(sys.executable).with_name("velum")
    return fleet.running("velum", "operator", f"--kubeconfig={kubeconfig}", program=program, **told)


def as_account(fleet: Fleet, name: str) -> Path:
    """Write a kubeconfig with the rights of a service account of the release's namespace; its path."""
    token = fleet.kubectl("create", "token", name, "--duration=1h").strip()
    return with_token(fleet.kubeconfig, token, fleet.state / f"{name}.kubeconfig")
