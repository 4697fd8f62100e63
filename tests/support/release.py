"""The release in the local cluster from its beginning to its end, and what it did with a picture."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from support.clusterkit import NAMESPACE, RELEASE, Cluster, Rest, until

ROOT = Path(__file__).resolve().parents[2]
CHART = Path("charts/velum")
VALUES = Path("tests/node/values.yaml")
FIRST_REPLICA_S = 600
"""The worker's pod, Ray, the pack: a minute on an idle machine."""

_VOLUME = "velum-e2e"
_UNINSTALL_S = 300
_OURS = "deployments,services,pods,configmaps,secrets,serviceaccounts,roles,rolebindings,jobs,persistentvolumeclaims"


def install(cluster: Cluster, tree: Path = ROOT, *flags: str) -> None:
    """Install the chart of a tree with its own values for this cluster, on an empty volume, and wait for it."""
    for left in cluster.volume.iterdir():  # of a release before this one
        shutil.rmtree(left)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _VOLUME},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteMany"],
            "hostPath": {"path": str(cluster.volume)},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    cluster.kubectl("apply", "-f", "-", given=json.dumps(volume))
    given = ["--create-namespace", "-f", tree / VALUES, *flags]
    cluster.helm("install", RELEASE, tree / CHART, *given, "--wait", "--timeout=10m")
    for name in ("velum-operator", "velum-ingress", "kuberay-operator"):
        cluster.kubectl("rollout", "status", f"deployment/{name}", "--timeout=300s", timeout=320)


def upgrade(cluster: Cluster, *flags: str | Path) -> None:
    """Upgrade to this tree's chart, and wait for it."""
    cluster.helm("upgrade", RELEASE, ROOT / CHART, *flags, "--wait", "--timeout=10m")


def uninstall(cluster: Cluster) -> None:
    """Uninstall, and raise AssertionError if it hangs or leaves anything."""
    begun = time.monotonic()
    cluster.helm("uninstall", RELEASE, "--wait", f"--timeout={_UNINSTALL_S}s", timeout=_UNINSTALL_S + 60)
    assert time.monotonic() - begun < _UNINSTALL_S

    def left() -> list[str]:
        found = cluster.kubectl("get", _OURS, "-o", "name").split()
        return [name for name in found if not name.endswith(("/kube-root-ca.crt", "/default"))]

    until(lambda: not left(), 180, lambda: f"left in the namespace: {left()}")
    kinds = cluster.kubectl("get", "crds", "-o", "name")
    assert "velum.dev" not in kinds
    assert cluster.kubectl("get", "rayclusters,rayservices", "-A", "-o", "name").split() == []
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout=140)
    cluster.kubectl("delete", "pv", _VOLUME, "--timeout=60s")


def another_ray_takes_over(
    cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes, change: Callable[[], None]
) -> None:
    """Make a change that wants another Ray cluster: tasks from before it, from all the while and after it end well."""
    before, heads = _active_ray(cluster), cluster.pods("head")
    assert before
    names = ids([rest.post(long_clip, "face=true", True), *(rest.post(picture, "face=true", True) for _ in range(4))])
    until(lambda: rest.task(names[0])["status"] == "processing", FIRST_REPLICA_S, "the video does not begin")
    change()

    def taken_over() -> bool:
        names.extend(ids([rest.post(picture, "face=true", True)]))
        time.sleep(2)
        return _active_ray(cluster) not in {before, ""}

    until(taken_over, 600, "no other Ray cluster serves")
    until(lambda: not set(heads) & set(cluster.pods("head")), 300, "the first Ray cluster stays")
    names += ids(rest.post(picture, "face=true", True) for _ in range(3))
    documents = [rest.ended(name, 900) for name in names]
    assert {document["status"] for document in documents} == {"done"}, documents
    is_hidden(rest, documents[-1], picture)


def _active_ray(cluster: Cluster) -> str:
    """Name of the Ray cluster that serves; empty while none does."""
    status = cluster.get("rayservice", "velum").get("status", {})
    return str(status.get("activeServiceStatus", {}).get("rayClusterName", ""))


def ids(answers: Iterable[httpx.Response]) -> list[str]:
    """Names of the tasks that were accepted: all of them."""
    names = []
    for answer in answers:
        assert answer.status_code in {200, 202}, answer.text
        names.append(answer.json()["id"])
    return names


def is_hidden(rest: Rest, task: dict[str, Any], picture: bytes) -> None:
    """The first face of the sample picture has other pixels, and the sky has not."""
    answer = rest.download(task["anonymised_link"])
    assert answer.status_code == 200, answer.text
    before, after = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (picture, answer.content)
    )
    assert before.shape == after.shape
    changed = np.abs(before.astype(int) - after.astype(int)).mean(axis=2)
    assert changed[240:310, 160:220].mean() > 8
    assert changed[:40].mean() < 3
