"""The first process of the cluster's namespaces: it prepares them, starts the servers, and starts again what ends.

Run by `node` as `unshare --pid --mount --net … python -m localnode.inside FOLDER`. As process 1 it inherits every
container's shim when that lets go of its parent, so it reaps whatever ends; and when it ends itself, the kernel kills
all others. The order of starting is `programs.everything`, read from FOLDER/programs.json.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_POLL_S = 0.05
_WIRE_TIMEOUT_S = 30.0
_RESTART_S, _LONGEST_RESTART_S = 1.0, 8.0  # between the end of a server and its next start; doubles each time


def prepare(folder: Path, settings: dict[str, str]) -> None:
    """Make the namespaces a node: own places where servers write at fixed paths, addresses, forwarding.

    Raises CalledProcessError, or TimeoutError if nobody hands the wire in.
    """
    _run("mount", "--make-rshared", "/")  # volumes of pods propagate from here; the machine sees none of it
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    for own, fixed in (("kubelet", "/var/lib/kubelet"), ("cni", "/var/lib/cni"), ("pod-logs", "/var/log")):
        (folder / own).mkdir(exist_ok=True)
        _run("mount", "--bind", str(folder / own), fixed)
    _run("ip", "link", "set", "lo", "up")
    _wait_for_link(settings["link"])
    _run("ip", "address", "add", settings["address"], "dev", settings["link"])
    _run("ip", "link", "set", settings["link"], "up")
    _run("ip", "route", "add", "default", "via", settings["gateway"])
    for name in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        control = Path("/proc/sys") / name
        if control.exists():  # the bridge's appears with its module; then it is on by default
            control.write_text("1\n")
    # Policies refuse by ICMP. One such answer a second, which the kernel allows, would be waiting for all other askers.
    Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text("0\n")


def _wait_for_link(name: str) -> None:
    deadline = time.monotonic() + _WIRE_TIMEOUT_S
    while subprocess.run(["ip", "link", "show", name], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the machine did not hand in the link {name}")
        time.sleep(_POLL_S)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


class Supervisor:
    """Keeps servers running; `programs` are dicts of name, argv, after."""

    def __init__(self, folder: Path, programs: list[dict[str, object]]) -> None:
        self._folder = folder
        self._waiting = list(programs)
        # The Popen is kept, or subprocess would reap a forgotten child behind our back.
        self._running: dict[int, tuple[dict[str, object], subprocess.Popen[bytes]]] = {}
        self._due: list[tuple[float, dict[str, object]]] = []
        self._pauses: dict[object, float] = {}

    def run(self) -> None:
        """Start, reap, start again, for ever."""
        while True:
            self._reap()
            now = time.monotonic()
            for entry in [entry for entry in self._due if entry[0] <= now]:
                self._due.remove(entry)
                self._start(entry[1])
            for program in [program for program in self._waiting if _is_there(str(program["after"]))]:
                self._waiting.remove(program)
                self._start(program)
            time.sleep(_POLL_S)

    def _start(self, program: dict[str, object]) -> None:
        argv = [str(word) for word in program["argv"]]  # type: ignore[attr-defined] # a list, as JSON gave it
        with (self._folder / "logs" / f"{program['name']}.log").open("ab") as log:
            try:
                child = subprocess.Popen(argv, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            except OSError as error:  # a cache that was emptied: to end now would end every container
                _say(f"{program['name']} cannot be started: {error}")
                self._again(program)
                return
        self._running[child.pid] = program, child
        _say(f"{program['name']} started as {child.pid}")

    def _again(self, program: dict[str, object]) -> None:
        pause = self._pauses.get(program["name"], _RESTART_S)
        self._pauses[program["name"]] = min(2 * pause, _LONGEST_RESTART_S)
        self._due.append((time.monotonic() + pause, program))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                program, child = self._running.pop(pid)
                child.returncode = os.waitstatus_to_exitcode(status)
                _say(f"{program['name']} ended with {child.returncode}: starting it again")
                self._again(program)


def _is_there(what: str) -> bool:
    if not what.startswith("tcp:"):
        return not what or Path(what).exists()
    host, _, port = what.removeprefix("tcp:").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main() -> None:
    """Process 1: never returns."""
    # Process 1 gets only the signals it has handlers for; these say the same as its death from outside.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    folder = Path(sys.argv[1])
    plan = json.loads((folder / "programs.json").read_text())
    prepare(folder, plan["network"])
    Supervisor(folder, plan["programs"]).run()


if __name__ == "__main__":
    main()
