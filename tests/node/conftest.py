"""The cluster that `hack/cluster e2e` brought up. Without it these tests are skipped: they take many minutes."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clusterkit import NAMESPACE, Cluster, Rest, until
from support.steptimes import said
from support.streetclip import street_clip
from velum_cli.sample import sample_picture

__all__ = ["said"]

HERE = Path(__file__).parent
NODE_USER = 65532  # as whom the release's pods run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where no cluster was brought up for them."""
    for item in items:
        if Path(str(item.path)).is_relative_to(HERE) and "VELUM_CLUSTER" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="needs a cluster: hack/cluster e2e"))


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    folder = Path(os.environ["VELUM_CLUSTER"])
    volume = folder / "volumes" / "velum"
    volume.mkdir(exist_ok=True)
    os.chown(volume, NODE_USER, NODE_USER)
    kubeconfig = folder / "credentials" / "admin.kubeconfig"
    return Cluster(kubeconfig, folder / "programs", Path(os.environ["VELUM_HELM"]), volume)


@pytest.fixture(scope="module")
def rest(cluster: Cluster) -> Iterator[Rest]:
    """The REST API at the Service's cluster IP, which this machine reaches. Each installation has another."""
    found = Rest(f"http://{cluster.get('service', 'velum-ingress')['spec']['clusterIP']}")
    yield found
    found.http.close()


@pytest.fixture(scope="session")
def picture() -> bytes:
    return sample_picture()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return street_clip(tmp_path_factory.mktemp("clip") / "street.mp4", 20).read_bytes()


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Long enough to be interrupted while it is worked on."""
    return street_clip(tmp_path_factory.mktemp("clip") / "long.mp4", 240).read_bytes()


@pytest.fixture(scope="session")
def receiver(cluster: Cluster, picture: bytes) -> str:
    """URL of a pod that serves the picture and takes webhooks; see receiver.py."""
    name = {"name": "receiver"}
    files: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": name,
        "data": {"receiver.py": (HERE / "receiver.py").read_text()},
        "binaryData": {"street.jpg": base64.b64encode(picture).decode()},
    }
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**name, "labels": {"app": "receiver"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    **name,
                    "image": "localhost/velum/ingress:dev",
                    "command": ["python", "/receiver/receiver.py"],
                    "readinessProbe": {"httpGet": {"path": "/calls", "port": 8080}, "periodSeconds": 1},
                    # Without, it would be the last to get a processor: on a busy machine, none for minutes.
                    "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
                    "volumeMounts": [{"name": "files", "mountPath": "/receiver"}],
                }
            ],
            "volumes": [{"name": "files", "configMap": name}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": name,
        "spec": {"selector": {"app": "receiver"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    everything = {"apiVersion": "v1", "kind": "List", "items": [files, pod, service]}
    cluster.kubectl("apply", "-f", "-", given=json.dumps(everything))
    cluster.kubectl("wait", "pod/receiver", "--for=condition=Ready", "--timeout=180s", timeout=200)
    return f"http://receiver.{NAMESPACE}.svc.cluster.local"


@pytest.fixture(scope="session")
def calls(cluster: Cluster, receiver: str) -> Iterator[Rest]:
    """The receiver, asked from this machine."""
    found = Rest(f"http://{cluster.get('service', 'receiver')['spec']['clusterIP']}")
    yield found
    found.http.close()


@pytest.fixture(scope="session")
def stored(cluster: Cluster, picture: bytes, clip: bytes) -> None:
    """What the samples name in the input store."""
    folder = cluster.volume / "input" / "samples"
    until((cluster.volume / "input").is_dir, 60, "the release's pods have not made their folders in the volume")
    folder.mkdir(exist_ok=True)
    for name, content in (("street.jpg", picture), ("street.mp4", clip)):
        (folder / name).write_bytes(content)
        os.chown(folder / name, NODE_USER, NODE_USER)
    os.chown(folder, NODE_USER, NODE_USER)
