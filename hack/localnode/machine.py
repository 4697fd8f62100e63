"""What the machine itself must bring: Linux, root, and a handful of Debian's programs.

The rest is built from source (`parts`). Everything that lacks is told in one message with the line that installs it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from localplane.errors import LocalPlaneError, ToolsMissing

from . import addresses

# program -> Debian package. containerd runs runc; kube-proxy, the portmap plugin and kube-router run the next three.
NODE_TOOLS = {
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ip": "iproute2",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
IMAGE_TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}

_LONGEST_FOLDER = 60  # a unix socket's path has 107 bytes, and containerd's lie three folders deeper
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MachineRefuses(LocalPlaneError):
    """The machine cannot hold the cluster; the text says what stands in its way."""


def search_path(environment: Mapping[str, str]) -> str:
    """PATH with the folders where Debian keeps what only root runs, which a user's PATH often lacks."""
    return f"{environment.get('PATH', '')}:{_PATH}".lstrip(":")


def missing(tools: Mapping[str, str], path: str) -> dict[str, str]:
    """Those of `tools` (program to package) that no folder of `path` holds."""
    return {name: package for name, package in tools.items() if shutil.which(name, path=path) is None}


def advice(lacking: Mapping[str, str]) -> str:
    """One sentence that names the missing programs and the command that installs all of them."""
    packages = " ".join(sorted(set(lacking.values())))
    return (
        f"the cluster needs {', '.join(sorted(lacking))}, which this machine lacks. "
        f"As root: apt-get install --no-install-recommends {packages}"
    )


def require(tools: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Raise ToolsMissing if one of `tools` is not there."""
    if lacking := missing(tools, search_path(environment)):
        raise ToolsMissing(advice(lacking))


def check(folder: Path, environment: Mapping[str, str]) -> None:
    """Raise MachineRefuses or ToolsMissing if no cluster can be started in `folder`."""
    if not sys.platform.startswith("linux"):
        raise MachineRefuses("hack/cluster runs on Linux only: containers are made of its namespaces")
    if os.geteuid() != 0:
        raise MachineRefuses("hack/cluster needs root: it makes namespaces and control groups. Try sudo")
    if len(os.fsencode(folder)) > _LONGEST_FOLDER:
        raise MachineRefuses(
            f"{folder} is too long a path for the sockets in it; name a shorter one (at most {_LONGEST_FOLDER} bytes)"
        )
    require(NODE_TOOLS, environment)
    routes = output(["ip", "-4", "route", "show"], environment)
    if line := addresses.taken_by(routes):
        raise MachineRefuses(f"the cluster's addresses {addresses.CLUSTER} are in use here: `{line}` of `ip route`")


def output(argv: Iterable[str], environment: Mapping[str, str]) -> str:
    """Standard output of a command. Raises MachineRefuses with what it printed if it fails."""
    words = list(argv)
    env = {**environment, "PATH": search_path(environment)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MachineRefuses(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
