"""Pods of the local cluster that listen on many ports and try those of others: what NetworkPolicies let through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from support.clusterkit import Cluster

_IMAGE = "localhost/velum/ingress:dev"  # it has Python
_LISTEN = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    waiting.register(socket.create_server((host, int(port))), selectors.EVENT_READ)
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""
_TRY = """
import concurrent.futures, json, socket, sys
def found(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        return str(error)
    return ""
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(json.dumps(list(pool.map(found, sys.argv[1:]))))
"""


@dataclass(frozen=True)
class Place:
    """A container that has Python: of a pod of ours, or of the release."""

    cluster: Cluster
    pod: str
    namespace: str
    container: str = ""

    def runs(self, program: str, *words: str) -> str:
        """Standard output of a Python program in it."""
        inside = ["-c", self.container] if self.container else []
        argv = ["exec", f"--namespace={self.namespace}", self.pod, *inside, "--", "python", "-c", program, *words]
        return self.cluster.kubectl(*argv, timeout=180)

    def opens(self, targets: Mapping[str, str]) -> set[str]:
        """Those of `targets` (what it is called: HOST:PORT) that take a connection from here."""
        errors: list[str] = json.loads(self.runs(_TRY, *targets.values()))
        return {name for name, error in zip(targets, errors, strict=True) if not error}

    @property
    def address(self) -> str:
        """The pod's IP address."""
        found: str = self.cluster.get("pod", self.pod, f"--namespace={self.namespace}")["status"]["podIP"]
        return found


def listener(
    name: str, namespace: str, labels: Mapping[str, str], ports: Iterable[int], named: Mapping[str, int]
) -> dict[str, Any]:
    """The manifest of a pod that takes connections at `ports`; some have names, as policies may use them."""
    listed = [str(port) for port in ports]
    container = {
        "name": "listener",
        "image": _IMAGE,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", _LISTEN, *(f"0.0.0.0:{port}" for port in listed)],
        "ports": [{"name": word, "containerPort": port} for word, port in named.items()],
        "readinessProbe": {"tcpSocket": {"port": int(listed[-1])}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    spec = {"terminationGracePeriodSeconds": 0, "enableServiceLinks": False, "containers": [container]}
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def outsider(name: str, namespace: str, addresses: Iterable[str]) -> dict[str, Any]:
    """The manifest of a pod that takes connections at addresses (HOST:PORT) of the node itself, as no pod's are."""
    pod = listener(name, namespace, {}, [1], {})
    spec = pod["spec"]
    spec["hostNetwork"] = True
    container = spec["containers"][0]
    container["command"] = ["python", "-c", _LISTEN, *addresses]
    del container["readinessProbe"]
    container["securityContext"] = {"runAsUser": 0}  # ports below 1024
    return pod


def create(cluster: Cluster, *manifests: dict[str, Any]) -> None:
    """Make namespaces and pods, and wait until the pods are ready."""
    everything = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    cluster.kubectl("apply", "--namespace=", "-f", "-", given=json.dumps(everything))
    for pod in (each["metadata"] for each in manifests if each["kind"] == "Pod"):
        wait = ["wait", f"pod/{pod['name']}", f"--namespace={pod['namespace']}", "--for=condition=Ready"]
        cluster.kubectl(*wait, "--timeout=180s", timeout=200)


def namespace(name: str) -> dict[str, Any]:
    """The manifest of a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
