"""One control plane in one state folder: up, down, status.

`up` is level-triggered: it compares the record (`controlplane.json`) with what runs and starts what is missing, on the
same port, with the same data and credentials. So it is idempotent, and it also heals: an API server that was killed is
back after another `up`, which is how tests make one go away. `down` ends what the record names and removes the folder.
A process is recorded right after it is started, so that no failure can leave a server that `down` does not find.
"""

import json
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from . import access, servers
from .errors import StartFailed, StateInvalid
from .locks import locked
from .processes import Process, spawn, stop, undisturbed

Say = Callable[[str], None]

_RECORD = "controlplane.json"
_KIND = "velum-controlplane"
_START_TIMEOUT_S = 150.0  # 3 s on two idle cores; an API server without its store waits up to 120 s to try again
_STOP_GRACE_S = 15.0  # kube-apiserver ends its watches first, within a second
_POLL_S = 0.05
_LOG_TAIL_LINES = 15
_PORT_ATTEMPTS = 3  # somebody may take the free port in the milliseconds between finding and using it
_ETCD, _API = "etcd", "kube-apiserver"


@dataclass(frozen=True)
class Record:
    """What the state folder knows: the API server's port, the programs' folder, processes, kubeconfigs written."""

    port: int
    assets: str
    processes: dict[str, Process] = field(default_factory=dict)
    kubeconfigs: tuple[str, ...] = ()
    kind: str = _KIND

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return f"https://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Status:
    """`running` maps each server to its pid, or None where it does not run; `ready` says that all is well."""

    ready: bool
    server: str
    running: dict[str, int | None]
    kubeconfigs: tuple[str, ...]


class Plane:
    """The control plane whose state lives in the folder `state`."""

    def __init__(self, state: Path, say: Say) -> None:
        self._state = state.absolute()
        self._say = say

    def up(self, find_assets: Callable[[], Path], kubeconfig: Path) -> Record:
        """Make both servers run and be ready, and write the admin's kubeconfig (mode 0600).

        `find_assets` is only called if something has to be started. Raises StateInvalid if the folder or the file is
        somebody else's, StartFailed with the logs' tails if a server does not come up; what this call started is ended.
        """
        access.check_kubeconfig(kubeconfig)
        with locked(self._state, lambda: self._say("another call works on this control plane: waiting for it")):
            record = self._load() or self._initialise()
            missing = [name for name in (_ETCD, _API) if not _runs(record, name)]
            if missing:
                record = self._start(replace(record, assets=str(find_assets())), missing)
            self._wait(record, _API)
            file = str(kubeconfig.absolute())
            record = replace(record, kubeconfigs=tuple(sorted({*record.kubeconfigs, file})))
            self._save(record)
            chain = (self._state / servers.CERTIFICATES / "apiserver.crt").read_text()
            text = access.kubeconfig(record.server, access.authority(chain), self._token(), self._state)
            access.write_kubeconfig(kubeconfig, text)
            state = f"is up after starting {' and '.join(missing)}" if missing else "is already running"
            self._say(f"the control plane {state}: {record.server}, state and logs in {self._state}")
            return record

    def down(self) -> bool:
        """End the servers, remove the folder and the kubeconfigs that belong to it; False if there was nothing."""
        if not self._state.is_dir():
            return False
        with locked(self._state):
            record = self._load()
            if record is None:
                return False
            for name in (_API, _ETCD):  # the API server first: without its store it only fills its log
                if name in record.processes and not stop(record.processes[name], _STOP_GRACE_S):
                    self._say(f"{name} did not end within {_STOP_GRACE_S:.0f} s and was killed")
            access.remove_kubeconfigs(map(Path, record.kubeconfigs), self._state)
            shutil.rmtree(self._state)
        return True

    def status(self) -> Status | None:
        """How it stands, or None if this folder holds no control plane. Changes nothing."""
        record = self._load() if self._state.is_dir() else None
        if record is None:
            return None
        running = {name: record.processes[name].pid if _runs(record, name) else None for name in (_API, _ETCD)}
        ready = servers.etcd_is_healthy(self._state) and servers.api_is_ready(self._state, record.port, self._token())
        return Status(ready and None not in running.values(), record.server, running, record.kubeconfigs)

    def _load(self) -> Record | None:
        """The record; None for an empty folder. Raises StateInvalid for a folder that holds other things."""
        try:
            values = json.loads((self._state / _RECORD).read_text())
            if values["kind"] != _KIND:
                raise ValueError(values["kind"])
            processes = {name: Process(**value) for name, value in values["processes"].items()}
            return Record(**{**values, "processes": processes, "kubeconfigs": tuple(values["kubeconfigs"])})
        except FileNotFoundError:
            if any(self._state.iterdir()):
                raise StateInvalid(
                    f"{self._state} holds files but no {_RECORD}: it is not the state of a control plane, "
                    "and stays untouched. Name another folder with --state."
                ) from None
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateInvalid(f"{self._state / _RECORD} cannot be read ({error!r}); it stays untouched") from error

    def _save(self, record: Record) -> None:
        access.write_private(self._state / _RECORD, json.dumps(asdict(record), indent=2) + "\n")

    def _initialise(self) -> Record:
        self._state.chmod(0o700)  # etcd's sockets are guarded by nothing but this
        record = Record(port=_free_port(), assets="")
        self._save(record)
        access.write_private(self._state / servers.SERVICE_ACCOUNT_KEY, access.service_account_key())
        access.write_private(self._state / servers.TOKENS, access.token_file(access.admin_token()))
        return record

    def _token(self) -> str:
        return (self._state / servers.TOKENS).read_text().partition(",")[0]

    def _start(self, record: Record, missing: list[str]) -> Record:
        fresh = not record.processes  # a port that a kubeconfig already names cannot be changed any more
        try:
            if _ETCD in missing:
                record = self._spawn(record, _ETCD, servers.etcd(Path(record.assets)))
                self._wait(record, _ETCD)
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                if _API in missing:
                    record = self._spawn(record, _API, servers.kube_apiserver(Path(record.assets), record.port))
                try:
                    self._wait(record, _API)
                    break
                except StartFailed as failure:
                    if not fresh or attempt == _PORT_ATTEMPTS or "address already in use" not in str(failure):
                        raise
                    record = replace(record, port=_free_port())
        except BaseException:  # Ctrl-C too: a half-started plane is of no use to anybody
            started = (self._load() or record).processes
            for name in reversed(missing):
                if name in started:
                    stop(started[name], _STOP_GRACE_S)
            raise
        return record

    def _spawn(self, record: Record, name: str, argv: list[str]) -> Record:
        with undisturbed():  # a signal between birth and record would leave a process that nobody knows of
            try:
                process = spawn(argv, self._state, self._log(name))
            except OSError as error:
                raise StartFailed(f"{argv[0]} cannot be started: {error}") from error
            record = replace(record, processes={**record.processes, name: process})
            self._save(record)
        return record

    def _wait(self, record: Record, name: str) -> None:
        process, deadline = record.processes[name], time.monotonic() + _START_TIMEOUT_S
        while not self._is_well(record, name):
            if not process.is_running():
                raise StartFailed(f"{name} ended while starting.\n{self._tail(name)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{name} was not ready after {_START_TIMEOUT_S:.0f} s.\n{self._tail(name)}")
            time.sleep(_POLL_S)

    def _is_well(self, record: Record, name: str) -> bool:
        if not _runs(record, name):
            return False
        if name == _ETCD:
            return servers.etcd_is_healthy(self._state)
        return servers.api_is_ready(self._state, record.port, self._token())

    def _log(self, name: str) -> Path:
        return self._state / f"{name}.log"

    def _tail(self, name: str) -> str:
        """The ends of both logs, the one of `name` last: the cause is often in the other one."""
        parts = []
        for log in sorted((_ETCD, _API), key=lambda other: other == name):
            if self._log(log).exists():
                lines = self._log(log).read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
                parts.append("\n".join([f"--- the end of {self._log(log)}", *lines]))
        return "\n".join(parts)


def _runs(record: Record, name: str) -> bool:
    return name in record.processes and record.processes[name].is_running()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
