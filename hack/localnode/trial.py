"""What is tried in the cluster: our images brought into it, and the tests in tests/node run against it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localplane import binaries, kuberaychart
from localplane.errors import StateInvalid

from . import archives, images, parts
from .earlier import Earlier, found
from .node import Node, Say

ROOT = Path(__file__).resolve().parents[2]
KUBERAY_IMAGE = f"quay.io/kuberay/operator:v{kuberaychart.VERSION}"


def bring_images(node: Node, environment: Mapping[str, str], say: Say, before: Earlier | None = None) -> list[str]:
    """Build what changed, bring it into the cluster if that runs; names of all images.

    before: the version before, if its images are wanted as well. Raises ToolsMissing, BuildFailed or StartFailed.
    """
    built = images.build(environment, say)
    built[KUBERAY_IMAGE] = _kuberay(environment, say)
    if before:
        built |= before.build(environment, say)
    if node.is_ready():
        for name, archive in built.items():
            if node.bring(archive):
                say(f"{name} is in the cluster")
    return list(built)


def _kuberay(environment: Mapping[str, str], say: Say) -> Path:
    """KubeRay's operator as its chart expects it: the program at /manager, the image by its public name."""
    program = binaries.built(parts.kuberay(), environment, say)
    folder = images.folder(environment)
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"kuberay-operator-{program.parent.name}.tar"
    if not archive.exists():
        archives.write(archive, KUBERAY_IMAGE, {"/manager": program}, ["/manager"])
    return archive


def unbuilt(environment: Mapping[str, str]) -> list[str]:
    """Names of what a cluster and its images need and the cache lacks: minutes of building, each."""
    lacking = [tool.name for tool in [*parts.node(), parts.kuberay()] if not binaries.is_built(tool, environment)]
    return lacking + [f"the image {reference}" for reference in images.unbuilt(environment)]


def earlier_version(environment: Mapping[str, str], say: Say, only_cached: bool) -> Earlier | None:
    """The version from which an upgrade can be tried; why there is none is said. only_cached: build nothing for it."""
    before = found(environment)
    if before is None:
        say("no upgrade from the version before: this checkout's history does not reach back to it")
    elif only_cached and (lacking := before.unbuilt(environment)):
        say(f"no upgrade from {before.version}: not built yet: {', '.join(lacking)} (`make e2e` builds them)")
        return None
    return before


def run_tests(
    node: Node, environment: Mapping[str, str], say: Say, before: Earlier | None, arguments: Sequence[str]
) -> int:
    """Run tests/node against the cluster; pytest's exit status. Raises StateInvalid without a virtual environment."""
    pytest = ROOT / ".venv" / "bin" / "pytest"
    if not pytest.exists():
        raise StateInvalid(f"{pytest} is missing: hack/bootstrap dev")
    chart = kuberaychart.package(ROOT / "charts" / "velum" / "charts", environment)
    helm = binaries.tool("helm", environment, say)
    say(f"running tests/node against {node.kubeconfig}, with {chart.name} as the chart of KubeRay")
    told = {**os.environ, "VELUM_CLUSTER": str(node.layout.folder), "VELUM_HELM": str(helm)}
    if before:
        told["VELUM_EARLIER"] = str(before.tree)
    # One after the other, in the order in which they are written: each step finds the release as the last one left it.
    argv = [str(pytest), "-n", "0", "-x", "-v", "-p", "no:cacheprovider"]
    argv += ["--timeout=1800", "--override-ini=faulthandler_timeout=2000", "tests/node", *arguments]
    return subprocess.run(argv, cwd=ROOT, env=told, check=False).returncode
