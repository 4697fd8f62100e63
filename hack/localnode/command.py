"""The command line of `hack/cluster`: messages on stderr, results on stdout, one exit status per kind of end."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from localplane.errors import LocalPlaneError
from localplane.exits import EXIT_FAILED, EXIT_TOOLS_MISSING, ended

from . import fleet, machine, parts, trial
from .node import Node

DEFAULT_FOLDER = Path("/var/lib/velum-cluster")  # short, for the sockets in it, and on a disk that may hold images

FAILED_TRIAL = trial.ROOT / ".cache" / "cluster-e2e"

_DESCRIPTION = (
    "A real Kubernetes cluster of one node on this machine, without a registry: kubelet, containerd, kube-proxy, "
    "kube-router and CoreDNS, all in namespaces of their own. Needs root, Python 3.11 and, once, Go. "
    "How it works: hack/localnode/."
)
_ENVIRONMENT = (
    "VELUM_CACHE: where built programs and images are kept (~/.cache/velum). "
    f"Exit status: {EXIT_FAILED} failed or not ready, 2 wrong usage, {EXIT_TOOLS_MISSING} a tool is missing."
)
_BEGUN = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - _BEGUN:6.1f} s  {line}", file=sys.stderr, flush=True)


def _node(arguments: argparse.Namespace) -> Node:
    return Node(arguments.folder, os.environ, _say)


def _up(arguments: argparse.Namespace) -> int:
    node = _node(arguments)
    node.up(arguments.kubeconfig)
    _say(f"the cluster is up; kubectl is {node.programs / 'kubectl'}, logs are in {node.layout.logs}")
    print(f"export KUBECONFIG={(arguments.kubeconfig or node.kubeconfig).absolute()}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    gone = _node(arguments).down()
    _say("the cluster is down, and nothing of it is left" if gone else f"no cluster in {arguments.folder}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    ready = _node(arguments).is_ready()
    print("ready" if ready else f"no cluster is ready in {arguments.folder}")
    return 0 if ready else EXIT_FAILED


def _programs(_arguments: argparse.Namespace) -> int:
    for program in [
        *parts.control_plane(os.environ, _say),
        *parts.built([*parts.node(), parts.kuberay()], os.environ, _say),
    ]:
        print(program)
    return 0


def _images(arguments: argparse.Namespace) -> int:
    for name in trial.bring_images(_node(arguments), os.environ, _say):
        print(name)
    return 0


def _hindrance(folder: Path) -> str:
    """What keeps the cluster from being tried here within minutes; empty if nothing does."""
    try:
        machine.check(folder.absolute(), os.environ)
        machine.require(machine.IMAGE_TOOLS, os.environ)
    except LocalPlaneError as error:
        return str(error)
    lacking = trial.unbuilt(os.environ)
    return f"not built yet: {', '.join(lacking)} (`make e2e` builds them)" if lacking else ""


def _e2e(arguments: argparse.Namespace) -> int:
    if arguments.if_cached and (reason := _hindrance(arguments.folder)):
        print(f"the real node is skipped: {reason}")
        return 0
    before = trial.earlier_version(os.environ, _say, arguments.if_cached)
    node = _node(arguments)
    node.up(None)
    try:
        trial.bring_images(node, os.environ, _say, before)
        status = trial.run_tests(node, os.environ, _say, before, arguments.rest)
        if status:
            node.dump(FAILED_TRIAL)
            _say(f"pytest ended with status {status}; what pods and servers said is in {FAILED_TRIAL}")
            return EXIT_FAILED
        _say("all steps went well")
        return 0
    finally:
        if arguments.keep:
            _say(f"the cluster stays: export KUBECONFIG={node.kubeconfig}; hack/cluster down ends it")
        else:
            node.down()
            _say("the cluster is down, and nothing of it is left")


def _fleet(arguments: argparse.Namespace) -> int:
    if arguments.if_cached and (lacking := fleet.unbuilt(os.environ)):
        print(f"the fleet is skipped: not built yet: {', '.join(lacking)} (`hack/cluster fleet` builds them)")
        return 0
    with tempfile.TemporaryDirectory(prefix="velum-fleet-") as folder:
        status = fleet.run_tests(Path(folder), os.environ, _say, arguments.rest)
    _say("the fleet is as it should be" if status == 0 else f"pytest ended with status {status}")
    return EXIT_FAILED if status else 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="hack/cluster", description=_DESCRIPTION, epilog=_ENVIRONMENT)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="data, logs and keys (%(default)s)")
    for name, run, text in (
        ("up", _up, "start what does not run yet and wait until the node is ready"),
        ("down", _down, "end it, remove everything, and look whether something stayed"),
        ("status", _status, "how it stands; status 0 if ready"),
        ("programs", _programs, "build every program that a cluster needs, and print where they are"),
        ("images", _images, "build our images and KubeRay's, and bring them into the cluster if it runs"),
        (
            "e2e",
            _e2e,
            "up, images, then tests/node against the cluster: install, use, kill, upgrade, uninstall, and again from "
            "the version before; down",
        ),
        (
            "fleet",
            _fleet,
            "tests/fleet: a hundred GPU nodes, none of them real, behind a real control plane; no root",
        ),
    ):
        command = commands.add_parser(name, parents=[place], help=text, description=text)
        command.set_defaults(run=run)
        if name == "up":
            command.add_argument("--kubeconfig", type=Path, metavar="FILE", help="also written there, mode 0600")
        if name == "e2e":
            command.add_argument("--keep", action="store_true", help="leave the cluster running")
        if name in {"e2e", "fleet"}:
            command.add_argument("--if-cached", action="store_true", help="say so and end if it is not ready to run")
            command.add_argument("rest", nargs="*", metavar="PYTEST_ARGUMENT", help="after --, such as -k samples")
    return top


def main() -> int:
    """Run one command of the command line; the exit status."""
    arguments = _parser().parse_args()
    return ended("hack/cluster", lambda: int(arguments.run(arguments)), _say)
