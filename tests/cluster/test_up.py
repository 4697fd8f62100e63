"""`velum up --kubeconfig`: the same command on a cluster's resources, with real Ray, the samples, and two ingresses."""

import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from support.velumup import VelumUp
from velum_cli.sample import sample_picture

pytestmark = pytest.mark.ray

SAMPLES = Path(__file__).resolve().parents[2] / "crds" / "samples"
COMPLETES = ["task-object.yaml", "task-destination.yaml", "task-limits.yaml"]
"""Samples that a laptop without internet can carry out."""


@pytest.fixture(scope="module")
def space(controlplane) -> Iterator[str]:
    """A namespace for the module: starting Ray costs too much to do it for each test."""
    name = f"velum-up-{uuid.uuid4().hex[:8]}"
    controlplane.kubectl("create", "namespace", name)
    yield name
    controlplane.kubectl("delete", "anontask", "--all", "-n", name, "--wait=false")


@pytest.fixture(scope="module")
def velum(controlplane, space: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VelumUp]:
    folder = tmp_path_factory.mktemp("up")
    flags = ["--kubeconfig", str(controlplane.kubeconfig), "--namespace", space]
    with VelumUp(folder, flags) as running:
        yield running
        controlplane.kubectl("delete", "anontask", "--all", "-n", space, "--timeout=60s")
        left = [path for path in (folder / "data").glob("*put/tasks/**/*") if path.is_file() and path.name != ".owner"]
        assert left == [], "deleted tasks leave no file"


@pytest.mark.parametrize("sample", COMPLETES)
def test_a_sample_is_applied_and_completes(controlplane, space: str, velum: VelumUp, sample: str) -> None:
    assert velum.url
    controlplane.kubectl("apply", "-n", space, "-f", SAMPLES / sample)
    name = yaml.safe_load((SAMPLES / sample).read_text())["metadata"]["name"]
    controlplane.kubectl("wait", "-n", space, "--for=condition=Complete", f"anontask/{name}", "--timeout=60s")
    status = controlplane.get("anontask", name, "-n", space)["status"]
    assert status["result"]["detections"] == {"face": 3}
    assert (velum.data / "output" / status["result"]["anonymised"]["key"]).stat().st_size > 10_000


def test_a_copy_is_delivered_and_outlives_its_task(controlplane, space: str, velum: VelumUp) -> None:
    sample = yaml.safe_load((SAMPLES / "task-destination.yaml").read_text())
    name, prefix = sample["metadata"]["name"], sample["spec"]["destination"]["prefix"]
    controlplane.kubectl("apply", "-n", space, "-f", SAMPLES / "task-destination.yaml")
    controlplane.kubectl("wait", "-n", space, "--for=condition=Complete", f"anontask/{name}", "--timeout=60s")
    controlplane.kubectl("delete", "anontask", name, "-n", space, "--timeout=30s")
    copies = [path.name for path in (velum.data / "output").glob(f"{prefix}*")]
    assert "street.jpg" in copies
    assert "street.metadata.json" in copies


def test_kubectl_get_reads_well(controlplane, space: str, velum: VelumUp) -> None:
    assert velum.url
    controlplane.kubectl("apply", "-n", space, "-f", SAMPLES / "task-object.yaml")
    controlplane.kubectl("wait", "-n", space, "--for=condition=Complete", "anontask/street", "--timeout=60s")
    heading, row = controlplane.kubectl("get", "anontask", "street", "-n", space).splitlines()
    assert heading.split() == ["NAME", "PHASE", "MEDIA", "MODEL", "PROGRESS", "AGE"]
    assert row.split()[:5] == ["street", "Complete", "image/jpeg", "default", "100"]
    assert "Anonymized" in controlplane.kubectl("describe", "anontask", "street", "-n", space)


def test_a_missing_source_is_a_named_failure(controlplane, space: str, velum: VelumUp) -> None:
    assert velum.url
    task = yaml.safe_load((SAMPLES / "task-object.yaml").read_text())
    task["metadata"]["name"] = "nowhere"
    task["spec"]["source"]["object"]["key"] = "no/such.jpg"
    controlplane.apply(task, namespace=space)
    controlplane.kubectl("wait", "-n", space, "--for=condition=Failed", "anontask/nowhere", "--timeout=60s")
    status = controlplane.get("anontask", "nowhere", "-n", space)["status"]
    assert status["reason"] == "SourceNotFound"
    assert "no/such.jpg" in status["message"]


def test_two_ingresses_serve_one_cluster(controlplane, space: str, velum: VelumUp, tmp_path: Path) -> None:
    """A picture posted to one is a task at the other, and its result can be fetched there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "velum_cli.main", "ingress", "--port", str(port), "--namespace", space]
    argv += ["--kubeconfig", str(controlplane.kubeconfig)]
    env = {
        "VELUM_STORAGE_INPUT": (velum.data / "input").as_uri(),
        "VELUM_STORAGE_OUTPUT": (velum.data / "output").as_uri(),
        "PATH": "/usr/bin:/bin",
    }
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("w") as log, subprocess.Popen(argv, env=env, stdout=log, stderr=log) as second:
        try:
            wait_ready(url, second)
            files = {"fileobject": ("p.jpg", sample_picture())}
            task = httpx.post(f"{url}/v1/file", params={"face": "true"}, files=files, timeout=60).json()
            assert task["status"] == "done", (tmp_path / "log").read_text()
            assert task["anonymised_link"].startswith(url)
            there = httpx.get(f"{velum.url}/v1/task/{task['id']}").json()
            assert there["status"] == "done"
            assert httpx.get(there["anonymised_link"]).content == httpx.get(task["anonymised_link"]).content
            assert httpx.delete(f"{velum.url}/v1/task/{task['id']}", timeout=30).status_code == 200
            assert httpx.get(f"{url}/v1/task/{task['id']}").status_code == 404
        finally:
            second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0


def wait_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until an ingress in another process answers: only the real clock can tell."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the ingress ended"
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("the ingress was not ready in time")
