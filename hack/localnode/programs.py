"""The command lines of the servers, and what each waits for before it starts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from localplane import servers

from . import addresses, policies
from .configuration import Layout
from .credentials import CONTROLLERS, KUBELET, SCHEDULER

_API = f"{addresses.NODE}:{addresses.API_PORT}"


@dataclass(frozen=True)
class Program:
    """One server: its command line, and what must be there first: a file's path, or a HOST:PORT that accepts."""

    name: str
    argv: tuple[str, ...]
    after: str = ""


def everything(layout: Layout, built: Path) -> list[Program]:
    """All servers of the node in the order in which they are started; `built` is the folder of the programs."""
    after_api = f"tcp:{_API}"
    return [
        Program("etcd", tuple(servers.etcd(built))),
        Program("kube-apiserver", _kube_apiserver(layout, built), str(layout.folder / servers.ETCD_SOCKET)),
        Program("containerd", (str(built / "containerd"), f"--config={layout.etc / 'containerd.toml'}")),
        Program("kube-controller-manager", _controller_manager(layout, built), after_api),
        Program("kube-scheduler", _scheduler(layout, built), after_api),
        Program("kube-proxy", (str(built / "kube-proxy"), f"--config={layout.etc / 'kube-proxy.json'}"), after_api),
        Program("kube-router", policies.command(layout.credentials, built), after_api),
        Program("kubelet", _kubelet(layout, built), str(layout.containerd_socket)),
    ]


def write(layout: Layout, built: Path) -> None:
    """Write programs.json, which process 1 inside starts everything from."""
    network = {
        "link": addresses.NODE_LINK,
        "address": f"{addresses.NODE}/{addresses.WIRE.prefixlen}",
        "gateway": addresses.MACHINE,
    }
    plan = {"network": network, "programs": [asdict(program) for program in everything(layout, built)]}
    (layout.folder / "programs.json").write_text(json.dumps(plan, indent=1) + "\n")


def _kube_apiserver(layout: Layout, built: Path) -> tuple[str, ...]:
    files = layout.credentials
    return (
        str(built / "kube-apiserver"),
        f"--etcd-servers=unix://{servers.ETCD_SOCKET}",
        f"--bind-address={addresses.NODE}",
        f"--advertise-address={addresses.NODE}",
        f"--secure-port={addresses.API_PORT}",
        f"--tls-cert-file={files.certificate('kube-apiserver')}",
        f"--tls-private-key-file={files.key('kube-apiserver')}",
        f"--client-ca-file={files.authority}",
        f"--token-auth-file={files.tokens}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--anonymous-auth=false",
        f"--kubelet-client-certificate={files.certificate('kubelet-client')}",
        f"--kubelet-client-key={files.key('kubelet-client')}",
        f"--kubelet-certificate-authority={files.authority}",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name is in no DNS
        f"--service-account-key-file={files.service_accounts}",
        f"--service-account-signing-key-file={files.service_accounts}",
        f"--service-account-issuer=https://kubernetes.default.svc.{addresses.DOMAIN}",
        f"--service-cluster-ip-range={addresses.SERVICES}",
        "--allow-privileged=true",
        "--profiling=false",
    )


def _controller_manager(layout: Layout, built: Path) -> tuple[str, ...]:
    files = layout.credentials
    kubeconfig = files.kubeconfig(CONTROLLERS)
    return (
        str(built / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={files.service_accounts}",
        f"--root-ca-file={files.authority}",
        f"--cluster-signing-cert-file={files.authority}",
        f"--cluster-signing-key-file={files.key('authority')}",
        "--profiling=false",
    )


def _scheduler(layout: Layout, built: Path) -> tuple[str, ...]:
    kubeconfig = layout.credentials.kubeconfig(SCHEDULER)
    return (
        str(built / "kube-scheduler"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--profiling=false",
    )


def _kubelet(layout: Layout, built: Path) -> tuple[str, ...]:
    return (
        str(built / "kubelet"),
        f"--config={layout.etc / 'kubelet.json'}",
        f"--kubeconfig={layout.credentials.kubeconfig(KUBELET)}",
        f"--hostname-override={addresses.NODE_NAME}",
        f"--node-ip={addresses.NODE}",
    )
