"""What a cluster could have left on the machine: seen before `up`, and compared after `down`.

Not the contents of the cluster's folder, which `down` removes, but everything that a node usually strews about: mounts,
network links, routes, firewall rules, named network namespaces, control groups, shims and pods' processes.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import addresses, machine, outside

_SAVES = (("iptables-save",), ("ip6tables-save",), ("ipset", "save"))
_OURS = str(addresses.CLUSTER.network_address).rsplit(".", 2)[0] + "."  # how every address of the cluster begins
_PROCESSES = ("containerd", "containerd-shim", "kubelet", "kube-", "etcd", "coredns")


def traces(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Everything on this machine that only a cluster in `folder` can have made; empty when nothing is left."""
    found = [f"mount {point}" for point in outside.mounts_below(folder)]
    found += [f"control group {group}" for group in outside.control_groups()]
    for link in (addresses.MACHINE_LINK, addresses.NODE_LINK, addresses.BRIDGE):
        if Path(f"/sys/class/net/{link}").exists():
            found.append(f"network link {link}")
    found += [f"route {line}" for line in _routes(environment)]
    found += [f"firewall rule {line}" for line in _rules(environment)]
    found += [f"process {line}" for line in processes(folder)]
    found += [f"file {folder}"] if folder.exists() else []
    return found


def _routes(environment: Mapping[str, str]) -> list[str]:
    lines = machine.output(["ip", "-4", "route", "show", "table", "all"], environment).splitlines()
    return [line for line in lines if f" {_OURS}" in f" {line}"]


def _rules(environment: Mapping[str, str]) -> list[str]:
    """Firewall rules and sets with our addresses: other clusters on this machine may have KUBE- chains of their own."""
    env = {**environment, "PATH": machine.search_path(environment)}
    rules: list[str] = []
    for command in _SAVES:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        rules += [line for line in done.stdout.splitlines() if _OURS in line]
    return rules


def processes(folder: Path) -> list[str]:
    """Processes (pid and command line) that name the folder or run a program with it as their working folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            home = (entry / "cwd").readlink()
        except OSError:  # it ended meanwhile
            continue
        if home.is_relative_to(folder) or any(str(folder) in word for word in words[:1]) or _serves(words, folder):
            found.append(f"{entry.name} {' '.join(words).strip()}")
    return found


def _serves(words: list[str], folder: Path) -> bool:
    name = Path(words[0]).name
    return name.startswith(_PROCESSES) and any(str(folder) in word for word in words)
