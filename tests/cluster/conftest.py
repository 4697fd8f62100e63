"""The cluster tests' ground: one real control plane per test run, a fresh namespace per test.

pytest-xdist runs these fixtures once per worker, in separate processes. They share one control plane, kept in the run's
temporary folder: every worker holds a shared lock for as long as it lives, and whoever can turn it into an exclusive
one at its end was the last and brings the plane down. Locks vanish with a killed worker, counters would not.

Programs are found or built while tests are collected, because a build (minutes, once per machine) inside a fixture
would run into the tests' time limit.
"""

import fcntl
import gc
import json
import os
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CRDS = ROOT / "crds"
EXIT_TOOLS_MISSING = 3  # of hack/controlplane: the one failure that is the machine's, not ours
PLANE = pytest.StashKey[str]()  # why there can be no control plane here, or ""


class KubectlError(AssertionError):
    """kubectl ended with another status than 0; the text is what it printed on stderr."""


@pytest.fixture(autouse=True)
def cut_connections() -> Iterator[None]:
    """Collect what a stopped operator leaves where it left it, instead of in a test that has nothing to do with it.

    A TLS connection that is cancelled while it is being made stays open until it is collected (asyncio of Python 3.11);
    the warning about it would fail whatever test runs then.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def run_tool(*args: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run hack/controlplane with this interpreter; never raises on a failure of the tool."""
    argv = [sys.executable, str(ROOT / "hack" / "controlplane"), *map(str, args)]
    return subprocess.run(argv, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane: where its state and kubeconfig are, and its kubectl."""

    state: Path
    kubeconfig: Path
    assets: Path

    def try_kubectl(self, *args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as admin and give its outcome, whatever it is."""
        env = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            # kubectl's discovery cache: not into the developer's home, one entry per random port
            "KUBECACHEDIR": str(self.state.with_name("kubectl-cache")),
        }
        argv = [str(self.assets / "kubectl"), *map(str, args)]
        return subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=120)

    def kubectl(self, *args: str | Path, stdin: str | None = None) -> str:
        """Run kubectl as admin and give its stdout. Raises KubectlError with its stderr."""
        done = self.try_kubectl(*args, stdin=stdin)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(map(str, args))}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *args: str) -> dict[str, object]:
        """`kubectl get … -o json`, parsed."""
        parsed: dict[str, object] = json.loads(self.kubectl("get", *args, "-o", "json"))
        return parsed

    def apply(self, *manifests: dict[str, object], namespace: str | None = None) -> str:
        """`kubectl apply` of objects. Raises KubectlError with the server's reason if it refuses one."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        where = ["--namespace", namespace] if namespace else []
        return self.kubectl("apply", *where, "-f", "-", stdin=document)

    def up(self) -> subprocess.CompletedProcess[str]:
        """Start what does not run, on the same port and data: brings back a killed API server."""
        return run_tool("up", "--state", self.state, "--kubeconfig", self.kubeconfig)

    def pids(self) -> dict[str, int]:
        """The pid of each server, as `up` recorded it."""
        record = json.loads((self.state / "controlplane.json").read_text())
        return {name: process["pid"] for name, process in record["processes"].items()}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.cluster)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(HERE in item.path.parents for item in session.items)
    if wanted and not session.config.option.collectonly and PLANE not in session.config.stash:
        found = run_tool("assets")
        if found.returncode not in (0, EXIT_TOOLS_MISSING):
            raise pytest.UsageError(found.stderr)
        session.config.stash[PLANE] = found.stderr if found.returncode else ""


@pytest.fixture(scope="session")
def assets(request: pytest.FixtureRequest) -> Path:
    """The folder of etcd, kube-apiserver and kubectl; skips if this machine can neither find nor build them."""
    if reason := request.config.stash[PLANE]:
        pytest.skip(reason)
    return Path(run_tool("assets").stdout.strip())


@pytest.fixture(scope="session")
def controlplane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The run's control plane with the CRDs of `crds/` in place, shared by all workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    plane = ControlPlane(shared / "plane", shared / "plane.kubeconfig", assets)
    with (shared / "plane.setup").open("w") as setup, (shared / "plane.users").open("w") as users:
        try:
            with flocked(setup):
                fcntl.flock(users, fcntl.LOCK_SH)
                started = plane.up()
                assert started.returncode == 0, started.stderr
                install_crds(plane)
            yield plane
        finally:
            with flocked(setup):
                down_if_last(plane, users)


@pytest.fixture
def private_plane(assets: Path, tmp_path: Path) -> Iterator[Callable[[], ControlPlane]]:
    """Starts a control plane of this test's own (3 s, no CRDs), for tests that break it. Call it at most once."""
    plane = ControlPlane(tmp_path / "plane", tmp_path / "plane.kubeconfig", assets)

    def start() -> ControlPlane:
        started = plane.up()
        assert started.returncode == 0, started.stderr
        return plane

    yield start
    run_tool("down", "--state", plane.state)


@pytest.fixture
def namespace(controlplane: ControlPlane) -> Iterator[str]:
    """A fresh namespace; afterwards it and what our resources left in it are gone, whatever finalizers say."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    controlplane.kubectl("create", "namespace", name)
    yield name
    remove_namespace(controlplane, name)


@contextmanager
def flocked(file: IO[str]) -> Iterator[None]:
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def down_if_last(plane: ControlPlane, users: IO[str]) -> None:
    """Bring the shared plane down unless another worker still holds its shared lock of `users`."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    stopped = run_tool("down", "--state", plane.state)
    assert stopped.returncode == 0, stopped.stderr


def install_crds(plane: ControlPlane) -> None:
    """Apply crds/*.yaml and wait until the server serves them; a second call changes nothing."""
    files = sorted(CRDS.glob("*.yaml"))
    if not files:
        pytest.fail(f"no *.yaml in {CRDS}: the generated CRDs are checked in, so this checkout is incomplete")
    flags = [part for file in files for part in ("-f", str(file))]
    plane.kubectl("apply", "--server-side", *flags)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *flags)


def remove_namespace(plane: ControlPlane, name: str) -> None:
    """Do what the namespace controller would: strip finalizers, empty the namespace, finalize it.

    There is no controller-manager, so a deleted namespace would stay `Terminating`, and the tasks of an ended test
    would be seen by the operator of the next one.
    """
    ours = plane.kubectl("api-resources", "--categories=velum", "--verbs=delete", "--namespaced", "-o", "name").split()
    kinds = ",".join([*ours, "secrets", "configmaps", "leases.coordination.k8s.io"])
    for resource in ours:
        for item in plane.kubectl("get", resource, "-n", name, "-o", "name").split():
            # It may go away between the two calls, when an operator still runs: that is what is wanted.
            strip = ["patch", item, "-n", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}']
            plane.try_kubectl(*strip)
    plane.kubectl("delete", kinds, "--all", "-n", name, "--ignore-not-found", "--timeout=30s")
    plane.kubectl("delete", "namespace", name, "--wait=false")
    finalized = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}})
    plane.kubectl("replace", "--raw", f"/api/v1/namespaces/{name}/finalize", "-f", "-", stdin=finalized)


@pytest.fixture
def without_go(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no Go and nothing is cached."""
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").symlink_to(sys.executable)
    return {"PATH": str(bare), "KUBEBUILDER_ASSETS": "", "VELUM_CACHE": str(tmp_path / "cache")}
