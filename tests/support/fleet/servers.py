"""The processes of the fleet's cluster, each a real program with a log of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
NAMESPACE = "privacy"
PATIENCE = 120.0
"""Seconds until something that was waited for counts as missing. It comes within a few, or thirty on a busy machine."""

LEASE_SECONDS = 40
"""As a kubelet's. Without leases all nodes count as lost after 50 s."""

STOP_SECONDS = 20
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "deployment-controller",
    "replicaset-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "disruption-controller",
)
"""Those that have something to do here. The others would only cost memory."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Fleet:
    """A running cluster. `folder` is that of `hack/cluster fleet`: programs and stages."""

    folder: Path
    state: Path
    kubeconfig: Path

    def program(self, name: str) -> Path:
        return self.folder / "programs" / name

    def kubectl(self, *words: str | Path, given: Any = None) -> str:
        """Run kubectl as admin in the release's namespace. Raises AssertionError with what it said."""
        text = None if given is None else json.dumps(given)
        return self.run(self.program("kubectl"), f"--namespace={NAMESPACE}", *words, text=text)

    def helm(self, *words: str | Path) -> str:
        return self.run(self.program("helm"), f"--namespace={NAMESPACE}", *words)

    def run(self, program: str | Path, *words: str | Path, text: str | None = None, **environment: str) -> str:
        """Run a program to its end; what it printed. Raises AssertionError with what it said."""
        argv = [str(word) for word in (program, *words)]
        told = self._environment(environment)
        done = subprocess.run(argv, env=told, input=text, capture_output=True, text=True, check=False, timeout=180)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Json:
        """An object, or a list of them."""
        found: Json = json.loads(self.kubectl("get", *words, "-o", "json"))
        return found

    def serves(self, *types: str) -> bool:
        """Whether the API server knows these types; `kubectl wait` stumbles over conditions that are null yet."""
        try:
            self.kubectl("get", ",".join(types))
        except AssertionError:
            return False
        return True

    def apply(self, *objects: Json) -> None:
        self.kubectl(
            "apply", "--server-side", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": list(objects)}
        )

    def log(self, name: str) -> Path:
        return self.state / f"{name}.log"

    @contextmanager
    def running(self, name: str, *flags: str | Path, program: Path | None = None, **environment: str) -> Iterator[None]:
        """Run one of the programs, or another one, for as long as the block lasts."""
        argv = [str(program or self.program(name)), *map(str, flags)]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(argv, cwd=self.state, env=self._environment(environment), stdout=log, stderr=log)
        try:
            yield
            assert process.poll() is None, f"{name} ended by itself:\n{self.log(name).read_text()[-2000:]}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        # None of the caller's proxies: everything is on this machine.
        kept = {"HOME": str(self.state), "PATH": os.environ["PATH"], "KUBECONFIG": str(self.kubeconfig)}
        return {**kept, "KUBECACHEDIR": str(self.state / "discovery"), **more}


@contextmanager
def control_plane(folder: Path, state: Path) -> Iterator[Fleet]:
    """A control plane with kubelets played by kwok, without a node yet."""
    plane, kubeconfig = state / "plane", state / "kubeconfig"
    tool = [sys.executable, str(ROOT / "hack" / "controlplane")]
    told = {**os.environ, "KUBEBUILDER_ASSETS": str(folder / "programs")}
    argv = [*tool, "up", "--state", str(plane), "--kubeconfig", str(kubeconfig)]
    done = subprocess.run(argv, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        with ExitStack() as stack:
            fleet = Fleet(folder, state, kubeconfig)
            common = [f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false"]
            stack.enter_context(fleet.running("kube-scheduler", *common))
            controllers = f"--controllers={','.join(CONTROLLERS)}"
            stack.enter_context(fleet.running("kube-controller-manager", *common, controllers))
            stages = [f"--config={file}" for file in sorted((folder / "stages").iterdir())]
            lasting = ["--manage-all-nodes", f"--node-lease-duration-seconds={LEASE_SECONDS}"]
            stack.enter_context(fleet.running("kwok", f"--kubeconfig={kubeconfig}", *lasting, *stages))
            yield fleet
    finally:
        subprocess.run([*tool, "down", "--state", str(plane)], env=told, capture_output=True, check=True)


def until(is_so: Callable[[], Any], otherwise: Callable[[], str] | str, seconds: float = PATIENCE) -> Any:
    """Look again and again until it is so; what it was. Raises AssertionError with `otherwise` when time is up."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(0.2)
    return found
