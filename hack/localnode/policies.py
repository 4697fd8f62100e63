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

USER = "system:kube-router"
_READ = ["get", "list", "watch"]
RULES: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["namespaces", "pods", "services", "nodes", "endpoints"], "verbs": _READ},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": _READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
]
"""What it may read: who is where, and what the policies say."""
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


def are_enforced(pid: int, environment: Mapping[str, str]) -> bool:
    """Whether packets of a pod go through rules of its own in the network namespace of process `pid`."""
    with suppress(StartFailed):
        return _OF_A_POD in outside.run(pid, ["iptables", "--wait", "-S", _CHAIN], environment)
    return False
