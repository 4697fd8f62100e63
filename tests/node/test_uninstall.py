"""The end of the release that test_release installed: nothing of it is left."""

from __future__ import annotations

import time

from support.clusterkit import NAMESPACE, RELEASE, Cluster, until

UNINSTALL_S = 300


def test_idle_workers_go(cluster: Cluster) -> None:
    until(lambda: cluster.pods("worker") == [], 900, lambda: f"workers stay: {cluster.pods('worker')}")


def test_uninstall_hangs_on_nothing_and_leaves_nothing(cluster: Cluster) -> None:
    cluster.kubectl("delete", "pod/receiver", "service/receiver", "configmap/receiver", "secret/street-webhook")
    begun = time.monotonic()
    cluster.helm("uninstall", RELEASE, "--wait", f"--timeout={UNINSTALL_S}s", timeout=UNINSTALL_S + 60)
    assert time.monotonic() - begun < UNINSTALL_S
    ours = "deployments,services,pods,configmaps,secrets,serviceaccounts,roles,rolebindings,jobs,persistentvolumeclaims"

    def left() -> list[str]:
        found = cluster.kubectl("get", ours, "-o", "name").split()
        return [name for name in found if not name.endswith(("/kube-root-ca.crt", "/default"))]

    until(lambda: not left(), 180, lambda: f"left in the namespace: {left()}")
    kinds = cluster.kubectl("get", "crds", "-o", "name")
    assert "velum.dev" not in kinds
    assert cluster.kubectl("get", "rayclusters,rayservices", "-A", "-o", "name").split() == []
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s", timeout=140)
    cluster.kubectl("delete", "pv", "velum-e2e", "--timeout=60s")
