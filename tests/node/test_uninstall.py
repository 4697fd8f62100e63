"""The end of the release that test_release installed: nothing of it is left."""

from __future__ import annotations

from support.clusterkit import Cluster, until
from support.release import uninstall


def test_idle_workers_go(cluster: Cluster) -> None:
    until(lambda: cluster.pods("worker") == [], 900, lambda: f"workers stay: {cluster.pods('worker')}")


def test_uninstall_hangs_on_nothing_and_leaves_nothing(cluster: Cluster) -> None:
    cluster.kubectl("delete", "pod/receiver", "service/receiver", "configmap/receiver", "secret/street-webhook")
    uninstall(cluster)
