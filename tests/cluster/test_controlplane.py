"""hack/controlplane: it brings up a real API server, says what is wrong, and leaves nothing behind."""

import base64
import errno
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

TOOL = Path(__file__).resolve().parents[2] / "hack" / "controlplane"
Start = Callable[[], Any]


def tool(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(TOOL), *map(str, args)]
    return subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def is_running(pid: int) -> bool:
    """Whether any thread of it runs; a zombie that nobody reaps has none."""
    try:
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        return any(state not in "ZX" for state in states)
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_in(folder: Path) -> list[int]:
    """Every running process whose working directory is `folder`: whether or not anybody recorded it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder and is_running(int(entry.name)):
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def credentials(kubeconfig: Path) -> tuple[str, str, str]:
    """The server, its authority as PEM and the token."""
    parsed = yaml.safe_load(kubeconfig.read_text())
    cluster, user = parsed["clusters"][0]["cluster"], parsed["users"][0]["user"]
    assert "insecure-skip-tls-verify" not in cluster
    return cluster["server"], base64.b64decode(cluster["certificate-authority-data"]).decode(), user["token"]


def ask(kubeconfig: Path, path: str) -> str:
    server, authority, token = credentials(kubeconfig)
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # what Python 3.13 and later demand of a certificate by default
    request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        text: str = answer.read().decode()
    return text


class TestUp:
    def test_it_is_ready_when_up_returns_and_up_again_changes_nothing(self, private_plane: Start) -> None:
        plane = private_plane()
        assert ask(plane.kubeconfig, "/readyz") == "ok"
        before, pids = plane.kubeconfig.read_text(), plane.pids()

        again = plane.up()

        assert (again.returncode, again.stdout) == (0, f"export KUBECONFIG={plane.kubeconfig}\n")
        assert "already running" in again.stderr
        assert (plane.kubeconfig.read_text(), plane.pids()) == (before, pids)
        assert sorted(processes_in(plane.state)) == sorted(pids.values())
        assert tool("status", "--state", plane.state).returncode == 0

    def test_the_kubeconfig_is_the_owners_alone_and_so_is_the_state(self, private_plane: Start) -> None:
        plane = private_plane()
        assert stat.S_IMODE(plane.kubeconfig.stat().st_mode) == 0o600
        assert stat.S_IMODE(plane.state.stat().st_mode) == 0o700  # guards etcd's sockets
        token = credentials(plane.kubeconfig)[2]
        for pid in plane.pids().values():
            assert token not in Path(f"/proc/{pid}/cmdline").read_text()
        # The tool keeps its files apart from other users even before they are complete.
        for secret in ("tokens.csv", "service-account.key", "controlplane.json"):
            assert stat.S_IMODE((plane.state / secret).stat().st_mode) == 0o600

    def test_rbac_is_on_and_service_accounts_work(self, private_plane: Start) -> None:
        plane = private_plane()
        plane.kubectl("create", "serviceaccount", "nobody")
        token = plane.kubectl("create", "token", "nobody").strip()
        nobody = [f"--token={token}", "--kubeconfig=/dev/null", f"--server={credentials(plane.kubeconfig)[0]}"]
        authority = plane.state.with_name("ca.crt")
        authority.write_text(credentials(plane.kubeconfig)[1])
        nobody.append(f"--certificate-authority={authority}")

        assert "system:serviceaccount:default:nobody" in plane.kubectl(*nobody, "auth", "whoami")
        refused = plane.try_kubectl(*nobody, "get", "secrets")

        assert refused.returncode == 1
        assert "Forbidden" in refused.stderr

    def test_a_killed_api_server_comes_back_with_its_data_on_its_port(self, private_plane: Start) -> None:
        plane = private_plane()
        plane.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        before = plane.kubeconfig.read_text()
        killed = plane.pids()["kube-apiserver"]
        os.kill(killed, signal.SIGKILL)
        wait_until_gone(killed)
        assert tool("status", "--state", plane.state).returncode == 1

        assert plane.up().returncode == 0

        assert plane.kubeconfig.read_text() == before  # clients need not notice
        assert plane.get("configmap", "kept")["data"] == {"a": "b"}

    def test_a_killed_store_comes_back_too(self, private_plane: Start) -> None:
        plane = private_plane()
        plane.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        pids = plane.pids()
        os.kill(pids["etcd"], signal.SIGKILL)
        wait_until_gone(pids["etcd"])

        assert plane.up().returncode == 0

        assert plane.pids()["kube-apiserver"] == pids["kube-apiserver"]
        assert plane.get("configmap", "kept")["data"] == {"a": "b"}

    def test_two_at_once_make_one(self, assets: Path, tmp_path: Path) -> None:
        state = tmp_path / "plane"
        files = [tmp_path / "one", tmp_path / "two"]
        try:
            with ThreadPoolExecutor() as both:
                outcomes = list(both.map(lambda file: tool("up", "--state", state, "--kubeconfig", file), files))
            assert [done.returncode for done in outcomes] == [0, 0], outcomes
            assert len(processes_in(state)) == 2
            assert files[0].read_text() == files[1].read_text()
        finally:
            tool("down", "--state", state)
        assert not any(file.exists() for file in files)

    def test_a_state_folder_may_have_a_long_path(self, assets: Path, tmp_path: Path) -> None:
        state = tmp_path / ("long-" * 20) / ("longer-" * 20)  # a unix socket's path ends at 107 bytes
        try:
            up = tool("up", "--state", state, "--kubeconfig", tmp_path / "kubeconfig")
            assert up.returncode == 0, up.stderr
        finally:
            tool("down", "--state", state)


class TestDown:
    def test_nothing_is_left(self, private_plane: Start) -> None:
        plane = private_plane()
        pids = plane.pids()
        assert all(is_running(pid) for pid in pids.values())

        down = tool("down", "--state", plane.state)

        assert (down.returncode, down.stderr) == (0, "the control plane is down\n")
        assert not any(is_running(pid) for pid in pids.values())
        assert processes_in(plane.state) == []
        assert not plane.state.exists()
        assert not plane.kubeconfig.exists()  # it holds a token for nothing

    def test_a_second_one_says_so(self, tmp_path: Path) -> None:
        down = tool("down", "--state", tmp_path / "none")
        assert (down.returncode, down.stderr) == (0, f"no control plane in {tmp_path / 'none'}\n")

    def test_a_process_that_took_over_the_pid_is_spared(self, tmp_path: Path, bystander: int) -> None:
        state = tmp_path / "plane"
        state.mkdir()
        kubeconfig = tmp_path / "somebody-elses"
        kubeconfig.write_text("apiVersion: v1\n")
        processes = {"etcd": {"pid": bystander, "started": 1}}  # the boot's first tick: not its start time
        record = {"kind": "velum-controlplane", "port": 1, "assets": "", "processes": processes}
        (state / "controlplane.json").write_text(json.dumps({**record, "kubeconfigs": [str(kubeconfig)]}))

        down = tool("down", "--state", state)

        assert down.returncode == 0, down.stderr
        assert is_running(bystander)
        assert kubeconfig.exists()
        assert not state.exists()

    @pytest.mark.parametrize("content", [{"precious.txt": "1"}, {"controlplane.json": '{"kind": "other"}'}])
    def test_a_folder_of_other_things_is_left_alone(self, tmp_path: Path, content: dict[str, str]) -> None:
        for name, text in content.items():
            (tmp_path / name).write_text(text)
        for command in (["down"], ["up", "--kubeconfig", str(tmp_path.with_name("unwritten"))]):
            refused = tool(*command, "--state", tmp_path)
            assert refused.returncode == 1
            assert "untouched" in refused.stderr
        assert {file.name: file.read_text() for file in tmp_path.iterdir()} == content


class TestBadInput:
    def test_assets_without_the_programs(self, tmp_path: Path) -> None:
        (tmp_path / "etcd").touch(mode=0o755)
        (tmp_path / "kubectl").touch(mode=0o644)  # there, but not to be executed
        failed = tool(*up_in(tmp_path), KUBEBUILDER_ASSETS=str(tmp_path))
        assert failed.returncode == 1
        assert f"KUBEBUILDER_ASSETS={tmp_path} lacks kube-apiserver, kubectl" in failed.stderr
        assert "Traceback" not in failed.stderr

    def test_programs_that_end_at_once_show_their_last_words(self, tmp_path: Path) -> None:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            (tmp_path / name).write_text(f"#!/bin/sh\necho '{name}: no such flag' >&2\nexit 1\n")
            (tmp_path / name).chmod(0o755)
        failed = tool(*up_in(tmp_path), KUBEBUILDER_ASSETS=str(tmp_path))
        assert failed.returncode == 1
        assert "etcd ended while starting" in failed.stderr
        assert "etcd: no such flag" in failed.stderr
        assert not (tmp_path / "kubeconfig").exists()

    def test_a_failed_start_leaves_no_process(self, assets: Path, tmp_path: Path) -> None:
        for name in ("etcd", "kubectl"):
            (tmp_path / name).symlink_to(assets / name)
        (tmp_path / "kube-apiserver").write_text("#!/bin/sh\necho 'no room' >&2\nexit 1\n")
        (tmp_path / "kube-apiserver").chmod(0o755)
        failed = tool(*up_in(tmp_path), KUBEBUILDER_ASSETS=str(tmp_path))
        assert failed.returncode == 1
        assert "no room" in failed.stderr
        assert processes_in(tmp_path / "plane") == []  # the store had started
        assert tool("down", "--state", tmp_path / "plane").returncode == 0

    def test_an_interrupted_start_leaves_no_process(self, assets: Path, tmp_path: Path) -> None:
        for name in ("etcd", "kubectl"):
            (tmp_path / name).symlink_to(assets / name)
        (tmp_path / "kube-apiserver").write_text("#!/bin/sh\nexec tail -f /dev/null\n")  # runs, never ready
        (tmp_path / "kube-apiserver").chmod(0o755)
        argv = [sys.executable, str(TOOL), *up_in(tmp_path)]
        environment = {**os.environ, "KUBEBUILDER_ASSETS": str(tmp_path)}
        with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as starting:
            while len(processes_in(tmp_path / "plane")) < 2:
                assert starting.poll() is None
                os.sched_yield()
            starting.terminate()
            _, said = starting.communicate(timeout=60)
        assert (starting.returncode, said) == (130, "hack/controlplane: interrupted\n")
        assert processes_in(tmp_path / "plane") == []

    def test_programs_of_another_machine(self, tmp_path: Path) -> None:
        for name in ("etcd", "kube-apiserver", "kubectl"):
            (tmp_path / name).write_bytes(b"\x7fELF of another kind")
            (tmp_path / name).chmod(0o755)
        failed = tool(*up_in(tmp_path), KUBEBUILDER_ASSETS=str(tmp_path))
        assert failed.returncode == 1
        assert f"{tmp_path / 'etcd'} cannot be started" in failed.stderr

    def test_neither_go_nor_assets(self, tmp_path: Path, without_go: dict[str, str]) -> None:
        failed = tool(*up_in(tmp_path), **without_go)
        assert failed.returncode == 3
        assert "no `go` on the PATH" in failed.stderr
        assert "Install Go 1.26.0 or later" in failed.stderr

    @pytest.mark.parametrize(
        "answer", ["echo go version go1.19.8 linux/amd64", "echo toolchain not available >&2; exit 1"]
    )
    def test_an_old_go(self, tmp_path: Path, without_go: dict[str, str], answer: str) -> None:
        go = Path(without_go["PATH"]) / "go"
        go.write_text(f"#!/bin/sh\n{answer}\n")
        go.chmod(0o755)
        failed = tool(*up_in(tmp_path), **without_go)
        assert failed.returncode == 3
        assert "too old or does not work" in failed.stderr
        assert answer.split()[2] in failed.stderr

    def test_a_build_that_fails_caches_nothing(self, tmp_path: Path, without_go: dict[str, str]) -> None:
        go = Path(without_go["PATH"]) / "go"
        go.write_text("#!/bin/sh\n[ $1 = version ] && echo go1.99 && exit\necho 'main.go:1: undefined' >&2\nexit 2\n")
        go.chmod(0o755)
        failed = tool("assets", **without_go)
        assert failed.returncode == 1
        assert "go build of etcd ended with status 2:\nmain.go:1: undefined" in failed.stderr
        assert list((tmp_path / "cache" / "controlplane").iterdir()) == []

    def test_somebody_elses_kubeconfig_is_not_replaced(self, tmp_path: Path) -> None:
        mine = tmp_path / "config"
        mine.write_text("apiVersion: v1\nkind: Config\n")
        failed = tool("up", "--state", tmp_path / "plane", "--kubeconfig", mine)
        assert failed.returncode == 1
        assert "was not written by hack/controlplane" in failed.stderr
        assert mine.read_text() == "apiVersion: v1\nkind: Config\n"
        assert not (tmp_path / "plane").exists()

    def test_the_port_is_taken_when_it_comes_back(self, private_plane: Start) -> None:
        plane = private_plane()
        port = int(credentials(plane.kubeconfig)[0].rpartition(":")[2])
        killed = plane.pids()["kube-apiserver"]
        os.kill(killed, signal.SIGKILL)
        wait_until_gone(killed)
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            until_bound(thief, port)
            thief.listen()
            failed = plane.up()
            assert failed.returncode == 1
            assert "address already in use" in failed.stderr
        assert plane.up().returncode == 0


class TestNamespaces:
    def test_each_test_has_its_own(self, controlplane: Any, namespace: str) -> None:
        controlplane.kubectl("create", "configmap", "only-here", "-n", namespace)
        assert controlplane.get("configmap", "only-here", "-n", namespace)["kind"] == "ConfigMap"

    def test_the_crds_are_served(self, controlplane: Any) -> None:
        names = controlplane.kubectl("api-resources", "--api-group=velum.dev", "-o", "name").split()
        assert "anonymizationtasks.velum.dev" in names
        assert "anonymizationmodels.velum.dev" in names


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process of somebody else, waiting on its stdin."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.terminate()


def up_in(folder: Path) -> list[str]:
    return ["up", "--state", str(folder / "plane"), "--kubeconfig", str(folder / "kubeconfig")]


def until_bound(thief: socket.socket, port: int) -> None:
    """Take a port whose connections are still being torn down by the kernel."""
    for _ in range(100):
        try:
            return thief.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            time.sleep(0.1)
    raise AssertionError(f"port {port} was not given up")


def wait_until_gone(pid: int) -> None:
    """SIGKILL is not refused, so this ends; the time limit of the test guards it all the same."""
    while is_running(pid):
        os.sched_yield()
