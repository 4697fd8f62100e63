"""The machine's end of the cluster: the wire into its network, its control groups, and how to run something inside."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from localplane.errors import StartFailed
from localplane.processes import Process

from . import addresses, machine
from .configuration import CGROUP

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_POLL_S = 0.05
_GROUPS_GONE_S = 15.0  # a group can be removed a moment after its last process died


def first_process(unshare: Process, deadline: float) -> int:
    """The pid, as the machine sees it, of process 1 inside: the only child of `unshare`. Raises StartFailed."""
    while unshare.is_running():
        with suppress(OSError):
            children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
            if children and Path(f"/proc/{children[0]}/ns/pid").stat().st_ino != _own_processes():
                return int(children[0])
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    raise StartFailed("no first process appeared in the cluster's namespaces")


def _own_processes() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def hand_in_wire(pid: int, environment: Mapping[str, str]) -> None:
    """Make the wire between the machine and the network namespace of process `pid`, and the machine's route over it."""
    ours, theirs = addresses.MACHINE_LINK, addresses.NODE_LINK
    cut_wire(environment)
    for words in (
        ["link", "add", "name", ours, "type", "veth", "peer", "name", theirs, "netns", str(pid)],
        ["address", "add", f"{addresses.MACHINE}/{addresses.WIRE.prefixlen}", "dev", ours],
        ["link", "set", ours, "up"],
        ["route", "add", str(addresses.CLUSTER), "via", addresses.NODE, "dev", ours],
    ):
        machine.output(["ip", *words], environment)


def cut_wire(environment: Mapping[str, str]) -> None:
    """Remove our end of the wire, if it is there; the other end and the route go with it."""
    end = Path(f"/sys/class/net/{addresses.MACHINE_LINK}")
    try:
        if end.exists():
            machine.output(["ip", "link", "delete", addresses.MACHINE_LINK], environment)
    except machine.MachineRefuses:
        if end.exists():  # else the kernel was faster: an end goes when the other's namespace does
            raise


def inside(pid: int, argv: Sequence[str]) -> list[str]:
    """The command line that runs `argv` in the namespaces of process `pid`."""
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--", *argv]


def make_control_groups() -> None:
    """Make our control group in every hierarchy, able to hold processes."""
    for parent in _hierarchies():
        group = parent / CGROUP
        group.mkdir(exist_ok=True)
        for control in ("cpuset.cpus", "cpuset.mems"):  # of version 1: a new group has none, and then takes nobody
            if (group / control).exists() and not (group / control).read_text().strip():
                (group / control).write_text((parent / control).read_text())


def remove_control_groups() -> None:
    """Remove our control groups from every hierarchy. Raises StartFailed if a process still sits in one."""
    deadline = time.monotonic() + _GROUPS_GONE_S
    while left := control_groups():
        for group in left:
            with suppress(OSError):
                group.rmdir()
        if time.monotonic() > deadline:
            raise StartFailed(f"these control groups cannot be removed: {', '.join(map(str, left))}")
        time.sleep(_POLL_S)


def control_groups() -> list[Path]:
    """Our control groups on this machine, the innermost first."""
    return [group for parent in _hierarchies() for group in _below(parent / CGROUP)]


def _below(group: Path) -> Iterator[Path]:
    if not group.is_dir():
        return
    with suppress(FileNotFoundError):
        for child in group.iterdir():
            if child.is_dir():
                yield from _below(child)
    yield group


def _hierarchies() -> list[Path]:
    """The roots of all hierarchies: one for version 2, one per controller for version 1."""
    if (_CONTROL_GROUPS / "cgroup.controllers").exists():
        return [_CONTROL_GROUPS]
    return [folder for folder in _CONTROL_GROUPS.iterdir() if folder.is_dir() and not folder.is_symlink()]


def mounts_below(folder: Path) -> list[str]:
    """Mount points of the machine's mount table that lie in `folder`."""
    points = (line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return [point for point in points if Path(point).is_relative_to(folder)]


def run(pid: int, argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command inside; its standard output. Raises StartFailed with what it printed."""
    env = {**environment, "PATH": machine.search_path(environment)}
    done = subprocess.run(inside(pid, argv), env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartFailed(f"`{' '.join(argv)}` failed in the cluster: {(done.stderr or done.stdout).strip()}")
    return done.stdout
