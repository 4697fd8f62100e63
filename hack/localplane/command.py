"""The command line of `hack/controlplane`: messages on stderr, results on stdout, one exit status per kind of end."""

import argparse
import os
import sys
from pathlib import Path

from . import binaries, kuberaychart
from .exits import EXIT_FAILED, EXIT_TOOLS_MISSING, ended
from .plane import Plane

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_STATE = ROOT / ".cache" / "controlplane"

_DESCRIPTION = (
    "A real Kubernetes API server and etcd on this machine, for trying Velum and for its cluster tests. "
    "Needs only Python 3.11 and, once, Go (or KUBEBUILDER_ASSETS). How it works: hack/localplane/."
)
_ENVIRONMENT = (
    "KUBEBUILDER_ASSETS: a folder with etcd, kube-apiserver and kubectl to use. "
    "VELUM_CACHE: where built ones are kept (~/.cache/velum). "
    f"Exit status: {EXIT_FAILED} failed or not ready, 2 wrong usage, {EXIT_TOOLS_MISSING} Go is missing or too old."
)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _assets() -> Path:
    return binaries.find(os.environ, _say)


def _up(arguments: argparse.Namespace) -> int:
    record = Plane(arguments.state, _say).up(_assets, arguments.kubeconfig)
    _say(f"kubectl is {record.assets}/kubectl")
    print(f"export KUBECONFIG={arguments.kubeconfig.absolute()}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    ended = Plane(arguments.state, _say).down()
    _say("the control plane is down" if ended else f"no control plane in {arguments.state}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    found = Plane(arguments.state, _say).status()
    if found is None:
        print(f"no control plane in {arguments.state}")
        return EXIT_FAILED
    print(f"{'ready' if found.ready else 'not ready'}: {found.server}")
    for name, pid in found.running.items():
        print(f"{name}: {'not running' if pid is None else f'pid {pid}'}")
    for file in found.kubeconfigs:
        print(f"kubeconfig: {file}")
    return 0 if found.ready else EXIT_FAILED


def _print_assets(_arguments: argparse.Namespace) -> int:
    print(_assets())
    return 0


def _print_tool(arguments: argparse.Namespace) -> int:
    print(binaries.tool(arguments.name, os.environ, _say))
    return 0


def _put_chart(_arguments: argparse.Namespace) -> int:
    print(kuberaychart.package(ROOT / "charts" / "velum" / "charts", os.environ))
    return 0


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="hack/controlplane", description=_DESCRIPTION, epilog=_ENVIRONMENT)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of data, logs and keys (%(default)s)")
    for name, run, parents, text in (
        ("up", _up, [state], "start what does not run yet and write the admin's kubeconfig"),
        ("down", _down, [state], "end it and remove its state"),
        ("status", _status, [state], "how it stands; status 0 if ready"),
        ("assets", _print_assets, [], "print the folder of etcd, kube-apiserver and kubectl, building them if need be"),
        ("chart", _put_chart, [], "put KubeRay's chart, made of its Go module, where charts/velum looks for it"),
        ("tool", _print_tool, [], f"print the path of one of {', '.join(binaries.TOOLS)}, building it if need be"),
    ):
        command = commands.add_parser(name, parents=parents, help=text, description=text)
        command.set_defaults(run=run)
        if name == "tool":
            command.add_argument("name", choices=binaries.TOOLS)
        if name == "up":
            command.add_argument("--kubeconfig", type=Path, required=True, metavar="FILE", help="written, mode 0600")
    return top


def main() -> int:
    """Run one command of the command line; the exit status."""
    arguments = _parser().parse_args()
    return ended("hack/controlplane", lambda: int(arguments.run(arguments)), _say)
