"""One cluster in one folder: up, down, status.

`up` writes the folder, starts process 1 inside, hands it the wire, imports the images that the node itself needs, and
waits until the node is Ready and CoreDNS answers. A cluster that is up already is left alone. `down` ends process 1,
with which the kernel ends everything, and removes wire, control groups and folder; it needs nothing but the folder, so
it also clears away what an `up` left that was killed half way.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from localplane import access
from localplane.errors import StartFailed, StateInvalid
from localplane.locks import locked
from localplane.processes import Process, spawn, stop, undisturbed

from . import (
    addons,
    addresses,
    archives,
    configuration,
    credentials,
    leftovers,
    machine,
    outside,
    parts,
    policies,
    programs,
)
from .configuration import Layout
from .record import Record, load, save

Say = Callable[[str], None]

_START_TIMEOUT_S = 180.0
_STOP_GRACE_S = 10.0
_POLL_S = 0.2
_TAIL_LINES = 12
_FIXED = ("/var/lib/kubelet", "/var/lib/cni")  # servers write there whatever one says; inside, our folders cover them


class Node:
    """The cluster whose state lives in `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], say: Say) -> None:
        self._folder = folder.absolute()
        self._environment = {**environment, "PATH": machine.search_path(environment)}
        self._say = say
        self.layout = Layout(self._folder)

    @property
    def programs(self) -> Path:
        """The folder with every program of the node, ctr and kubectl among them."""
        return self._folder / "programs"

    def up(self, kubeconfig: Path | None) -> None:
        """Make the cluster run, and write the admin's kubeconfig. Raises LocalPlaneError, with what is in the way."""
        machine.check(self._folder, self._environment)
        if kubeconfig and kubeconfig.exists() and not credentials.is_ours(kubeconfig):
            raise StateInvalid(f"{kubeconfig} exists and was not written by hack/cluster: name another file")
        # Everything is built before anything is started, and before others have to wait for the folder.
        found = parts.control_plane(self._environment, self._say)
        found += parts.built(parts.node(), self._environment, self._say)
        self._clear_what_ended()
        with self._locked():
            record = load(self._folder) or self._start(found)
            self._wait(self._is_ready, "the node is not Ready")
            self._import_own()
            self._kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=addons.manifests())
            self._wait(self._resolves, "CoreDNS is not ready")
            self._wait(self._enforces, "kube-router enforces no NetworkPolicies")
            if kubeconfig:
                kubeconfig = kubeconfig.absolute()
                access.write_private(kubeconfig, self.kubeconfig.read_text())
                made = tuple(sorted({*record.kubeconfigs, str(kubeconfig)}))
                save(self._folder, Record(record.process, made, record.made))

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.layout.credentials.kubeconfig(credentials.ADMIN)

    def down(self) -> bool:
        """End it and remove everything; False if there was nothing. Raises StartFailed if traces stay behind."""
        if not self._folder.is_dir():
            return False
        with self._locked():
            record = load(self._folder)
            if record is None:
                return False
            self._clear(record)
        if traces := leftovers.traces(self._folder, self._environment):
            raise StartFailed("`down` left these behind:\n" + "\n".join(traces))
        return True

    def is_ready(self) -> bool:
        """Whether the cluster runs, its node is Ready and its DNS answers."""
        record = load(self._folder)
        running = record is not None and record.process is not None and record.process.is_running()
        return running and self._is_ready() and self._resolves()

    def dump(self, folder: Path) -> None:
        """Write what `kubectl cluster-info dump` has of all namespaces, pods' logs too, and the servers' own logs."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.layout.logs, folder / "servers")
        with suppress(StartFailed):  # an API server that does not answer is in its log
            self._kubectl("cluster-info", "dump", "--all-namespaces", f"--output-directory={folder}")
        for kind in ("anonymizationtasks", "anonymizationmodels", "rayservices", "rayclusters"):
            (folder / f"{kind}.yaml").write_text(self._asks("get", kind, "--all-namespaces", "-o", "yaml"))

    def inside(self) -> int:
        """The pid of process 1 inside. Raises StateInvalid if the cluster does not run."""
        record = load(self._folder)
        if record is None or record.process is None or not record.process.is_running():
            raise StateInvalid(f"no cluster runs in {self._folder}: hack/cluster up")
        return outside.first_process(record.process, time.monotonic())

    def bring(self, archive: Path) -> bool:
        """Import an OCI archive unless the cluster has it; whether it was imported. Raises StartFailed."""
        done = self._folder / "imported" / archive.name
        if done.exists():
            return False
        self.import_image(archive)
        done.parent.mkdir(exist_ok=True)
        done.touch()
        return True

    def import_image(self, archive: Path) -> str:
        """Import an OCI archive into containerd; what ctr printed. Raises StartFailed."""
        ctr = [str(self.programs / "ctr"), f"--address={self.layout.containerd_socket}", "--namespace=k8s.io"]
        return outside.run(self.inside(), [*ctr, "images", "import", str(archive)], self._environment)

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self._folder, lambda: self._say("another call works on this cluster: waiting for it"))

    def _clear_what_ended(self) -> None:
        if not self._folder.is_dir():
            return
        with self._locked():
            record = load(self._folder)
            if record is not None and not (record.process and record.process.is_running()):
                self._say("a cluster was here and has ended: clearing it away")
                self._clear(record)

    def _start(self, found: list[Path]) -> Record:
        self._folder.chmod(0o700)
        made = tuple(path for path in _FIXED if not Path(path).exists())
        record = Record(made=made)
        save(self._folder, record)
        for path in made:
            Path(path).mkdir(parents=True)
        parts.link(found, self.programs)
        for folder in (self.layout.logs, self.layout.volumes):
            folder.mkdir()
        credentials.write(self.layout.credentials.folder, self._environment)
        configuration.write(self.layout, self.programs)
        programs.write(self.layout, self.programs)
        outside.make_control_groups()
        try:
            with undisturbed():  # a signal between birth and record would leave a process that nobody knows of
                record = Record(self._spawn(), made=made)
                save(self._folder, record)
            assert record.process is not None
            pid = outside.first_process(record.process, time.monotonic() + _STOP_GRACE_S)
            outside.hand_in_wire(pid, self._environment)
        except BaseException:
            self._clear(load(self._folder) or record)
            raise
        return record

    def _spawn(self) -> Process:
        namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net", "--ipc"]
        python = [sys.executable, "-B", "-m", "localnode.inside", str(self._folder)]
        hack = str(Path(__file__).resolve().parents[1])
        path = f"{self.programs}:{self._environment['PATH']}"
        environment = ["env", "-i", f"PATH={path}", f"PYTHONPATH={hack}", "HOME=/root", "LANG=C.UTF-8"]
        argv = ["unshare", *namespaces, *environment, *python]
        return spawn(argv, self._folder, self.layout.logs / "inside.log")

    def _import_own(self) -> None:
        """The images without which no pod starts and no name is resolved."""
        for image, program in ((configuration.PAUSE_IMAGE, "pause"), (addons.COREDNS_IMAGE, "coredns")):
            archive = self._folder / f"{program}.tar"
            if not archive.exists():
                archives.write(archive, image, {f"/{program}": self.programs / program}, [f"/{program}"])
            self.bring(archive)

    def _is_ready(self) -> bool:
        path = "{.status.conditions[?(@.type=='Ready')].status}"
        return self._asks("get", "node", addresses.NODE_NAME, "-o", f"jsonpath={path}") == "True"

    def _resolves(self) -> bool:
        path = "{.status.readyReplicas}"
        return self._asks("-n", "kube-system", "get", "deployment", "coredns", "-o", f"jsonpath={path}") == "1"

    def _enforces(self) -> bool:
        return policies.are_enforced(self.inside(), self._environment)

    def _asks(self, *arguments: str) -> str:
        with suppress(StartFailed):
            return self._kubectl(*arguments)
        return ""

    def _kubectl(self, *arguments: str, given: str | None = None) -> str:
        argv = [str(self.programs / "kubectl"), f"--kubeconfig={self.kubeconfig}", "--request-timeout=20s", *arguments]
        # Neither a proxy nor a kubeconfig of the caller's may come between.
        env = {name: value for name, value in self._environment.items() if not name.lower().endswith("_proxy")}
        done = subprocess.run(argv, env=env, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartFailed(f"`kubectl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def _wait(self, is_well: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not is_well():
            self.inside()  # raises when process 1 has ended
            if time.monotonic() > deadline:
                raise StartFailed(f"{otherwise} after {_START_TIMEOUT_S:.0f} s.\n{self._tails()}")
            time.sleep(_POLL_S)

    def _tails(self) -> str:
        parts_of = []
        for log in sorted(self.layout.logs.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            parts_of.append("\n".join([f"--- the end of {log}", *lines]))
        return "\n".join(parts_of)

    def _clear(self, record: Record) -> None:
        if record.process is not None and record.process.is_running():
            with suppress(StartFailed, ProcessLookupError):  # unshare ends once its child and all below it are gone
                os.kill(outside.first_process(record.process, time.monotonic()), signal.SIGKILL)
            stop(record.process, _STOP_GRACE_S)
        outside.cut_wire(self._environment)
        outside.remove_control_groups()
        for file in map(Path, record.kubeconfigs):
            if credentials.is_ours(file):
                file.unlink()
        for path in record.made:
            with suppress(OSError):  # somebody else has put something there since
                Path(path).rmdir()
        if mounts := outside.mounts_below(self._folder):
            raise StartFailed(f"mounts in {self._folder}, which is therefore left alone: {', '.join(mounts)}")
        shutil.rmtree(self._folder)
