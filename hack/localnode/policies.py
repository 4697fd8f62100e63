"""NetworkPolicies, enforced: kube-router beside kube-proxy, with nothing of it but its firewall.

It writes rules into iptables' filter table and addresses into sets of ipset, both of the cluster's network namespace:
the machine's own have none of it, and they end with the namespace. What is refused is refused at once ("connection
refused"), so that who asks need not wait. A policy counts a second or so after it, or the pod, is there.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from localplane.errors import StartFailed

from . import addresses, outside
from .credentials import POLICIES, Files

_CHAIN, _OF_A_POD = "KUBE-ROUTER-FORWARD", "KUBE-POD-FW-"


def command(files: Files, built: Path) -> tuple[str, ...]:
    """The command line."""
    return (
        str(built / "kube-router"),
        f"--kubeconfig={files.kubeconfig(POLICIES)}",
        f"--hostname-override={addresses.NODE_NAME}",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--enable-cni=false",
        f"--service-cluster-ip-range={addresses.SERVICES}",
        "--health-port=0",
    )


def role() -> list[dict[str, Any]]:
    """What it may read: who is where, and what the policies say."""
    group = "rbac.authorization.k8s.io"
    kind, version, metadata = "ClusterRole", f"{group}/v1", {"name": "system:kube-router"}
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["namespaces", "pods", "services", "nodes", "endpoints"], "verbs": read},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
    ]
    user = {"apiGroup": group, "kind": "User", "name": "system:kube-router"}
    reference = {"apiGroup": group, "kind": kind, "name": "system:kube-router"}
    return [
        {"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [user],
        },
    ]


def are_enforced(pid: int, environment: Mapping[str, str]) -> bool:
    """Whether packets of a pod go through rules of its own in the network namespace of process `pid`."""
    with suppress(StartFailed):
        return _OF_A_POD in outside.run(pid, ["iptables", "--wait", "-S", _CHAIN], environment)
    return False
