"""KubeRay's side of a RayService: its real CRDs, from the Go module, and a status as its controller writes it.

The controller itself runs on a real node only (`hack/cluster e2e`).
"""

import os
import time
from pathlib import Path
from typing import Any

from localplane.errors import LocalPlaneError
from localplane.gomodules import fetched
from support.apiserver import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
PINNED = ROOT / "hack" / "gotools" / "kuberay"
MODULE = "github.com/ray-project/kuberay/ray-operator"
KEY = "rayservice.yaml"
NAME = "velum"
"""Of the RayService in `template`."""

CONFIGMAP = "velum-ray"
SERVED_SECONDS = 30


class NoModule(Exception):
    """The module cannot be had here; the text says why."""


def crd() -> Path:
    """Return the file with the RayService's definition of the pinned version. Raises NoModule."""
    try:
        module = fetched(MODULE, os.environ, PINNED)
    except LocalPlaneError as error:
        raise NoModule(str(error)) from error
    return module / "config" / "crd" / "bases" / "ray.io_rayservices.yaml"


def install(plane: ControlPlane) -> None:
    """Have the server know RayServices; a second call changes nothing. Raises NoModule."""
    plane.kubectl("apply", "--server-side", "-f", crd())
    until = time.monotonic() + SERVED_SECONDS
    # `kubectl wait` stumbles over conditions that are null yet, and an established type may still be "initializing".
    while plane.try_kubectl("get", "rayservices,anontasks,anonmodels", "-A").returncode:
        assert time.monotonic() < until, "the server does not serve RayServices"
        time.sleep(0.1)


def template(**spec: Any) -> dict[str, Any]:
    """A RayService as the chart makes it: a head without CPUs and a group of up to two pods with four CPUs."""
    cluster = {
        "rayVersion": "2.60.0",
        "enableInTreeAutoscaling": True,
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": pod("ray-head")},
        "workerGroupSpecs": [group()],
        **spec,
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "velum"}},
        "spec": {"rayClusterConfig": cluster},
    }


def group(name: str = "cpu", most: int = 2, resources: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A worker group."""
    pods = pod("ray-worker", resources or {"limits": {"cpu": "4"}})
    rest = {"replicas": 0, "minReplicas": 0, "maxReplicas": most, "rayStartParams": {}, "template": pods}
    return {"groupName": name, **rest, **spec}


def pod(name: str, resources: dict[str, Any] | None = None) -> dict[str, Any]:
    container = {"name": name, "image": "velum/worker:0.2.0", "resources": resources or {}}
    return {"spec": {"containers": [container]}}


def status(
    *,
    active: str = "",
    pending: str = "",
    applications: dict[str, str] | None = None,
    preparing: dict[str, str] | None = None,
    endpoints: int = 0,
) -> dict[str, Any]:
    """A status as KubeRay 1.5.1 writes it (calculateStatus, calculateConditions of rayservice_controller.go).

    `applications` and `preparing`: what the active and the pending cluster say, name → "STATUS" or "STATUS message".
    While there are two, KubeRay leaves the active one's empty.
    """
    ready = ("True", "NonZeroServeEndpoints", "Number of serve endpoints is greater than 0")
    if not endpoints:
        ready = ("False", "Initializing", "RayService is initializing")
    since = "2026-11-23T12:00:00Z"
    condition = dict(zip(("status", "reason", "message"), ready, strict=True))
    found: dict[str, Any] = {
        "conditions": [{"type": "Ready", "lastTransitionTime": since, **condition}],
        "activeServiceStatus": {
            "rayClusterStatus": {
                "desiredCPU": "0",
                "desiredGPU": "0",
                "desiredMemory": "0",
                "desiredTPU": "0",
                "head": {},
            }
        },
        "pendingServiceStatus": {},
        "observedGeneration": 1,
    }
    if endpoints:
        found |= {"numServeEndpoints": endpoints, "serviceStatus": "Running"}
    if active:
        found["activeServiceStatus"] |= {"rayClusterName": active, "applicationStatuses": _told(applications)}
    if pending:
        found["pendingServiceStatus"] |= {"rayClusterName": pending, "applicationStatuses": _told(preparing)}
    return found


def serving(*names: str, endpoints: int = 1) -> dict[str, Any]:
    """The status when everything is well."""
    return status(active="velum-abcde", applications=dict.fromkeys(names, "RUNNING"), endpoints=endpoints)


def _told(applications: dict[str, str] | None) -> dict[str, Any]:
    found = {}
    for name, text in (applications or {}).items():
        word, _, message = text.partition(" ")
        found[name] = {"status": word, "message": message, "serveDeploymentStatuses": {"Anonymizer": {"status": "X"}}}
    return found
