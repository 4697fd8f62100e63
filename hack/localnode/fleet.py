"""A cluster of which only the control plane is real: what it takes to see how a hundred GPUs are scheduled.

kube-scheduler, kube-controller-manager and KubeRay work on the API server of `hack/controlplane`; kwok plays the
kubelets, so that nodes are Ready and pods that were scheduled are Running without anything running in them.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localplane import binaries, kuberaychart
from localplane.binaries import GOTOOLS, Say, Tool
from localplane.errors import LocalPlaneError, StateInvalid
from localplane.gomodules import fetched

from . import parts

ROOT = Path(__file__).resolve().parents[2]
KWOK_MODULE = "sigs.k8s.io/kwok"
SERVERS = ("kube-controller-manager", "kube-scheduler")
# Of kwok's stages: nodes become Ready and renew their leases, pods run as soon as they are scheduled, and go when told.
_STAGES = ("node/fast/node-initialize", "node/heartbeat-with-lease/node-heartbeat-with-lease")
_POD_STAGES = ("pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete")


def kwok() -> Tool:
    """The player of kubelets."""
    return Tool("kwok", GOTOOLS / "kwok", f"{KWOK_MODULE}/cmd/kwok")


def tools() -> list[Tool]:
    """Every program beside those of `hack/controlplane`."""
    return [*(tool for tool in parts.node() if tool.name in SERVERS), parts.kuberay(), kwok()]


def unbuilt(environment: Mapping[str, str]) -> list[str]:
    """Names of what is not there yet: minutes of building, each."""
    lacking = [tool.name for tool in tools() if not binaries.is_built(tool, environment)]
    try:
        stages(environment)
    except LocalPlaneError:
        lacking.append("the module of kwok")
    return lacking


def stages(environment: Mapping[str, str]) -> list[Path]:
    """The files of kwok's stages, out of its module. Raises ToolsMissing without Go, BuildFailed without the module."""
    folder = fetched(KWOK_MODULE, environment, GOTOOLS / "kwok") / "kustomize" / "stage"
    return [folder / f"{name}.yaml" for name in (*_STAGES, *_POD_STAGES)]


def run_tests(folder: Path, environment: Mapping[str, str], say: Say, arguments: Sequence[str]) -> int:
    """Build what is needed, link it into `folder`, run tests/fleet with it; pytest's exit status.

    Raises ToolsMissing, BuildFailed, or StateInvalid without a virtual environment.
    """
    pytest = ROOT / ".venv" / "bin" / "pytest"
    if not pytest.exists():
        raise StateInvalid(f"{pytest} is missing: hack/bootstrap dev")
    programs = [*parts.control_plane(environment, say), *parts.built(tools(), environment, say)]
    programs.append(binaries.tool("helm", environment, say))
    parts.link(programs, folder / "programs")
    parts.link(stages(environment), folder / "stages")
    kuberaychart.package(ROOT / "charts" / "velum" / "charts", environment)
    told = {**os.environ, "VELUM_FLEET": str(folder)}
    # One after the other: each step finds the fleet as the last one left it.
    argv = [str(pytest), "-n", "0", "-x", "-v", "-p", "no:cacheprovider", "tests/fleet", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=told, check=False).returncode
