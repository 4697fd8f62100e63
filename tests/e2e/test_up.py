"""`velum up` as a user meets it: it starts, hides, stops, and says what is wrong when it cannot."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import psutil
import pytest

from support.velumup import VelumUp
from velum_cli.sample import sample_picture
from velum_cli.selfcheck import judge

pytestmark = pytest.mark.ray


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something that another process does. The only clock that can tell is the real one."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def run_up(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a `velum up` that is expected to refuse to start."""
    argv = [sys.executable, "-m", "velum_cli.main", "up", *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, env=env)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(np.float32)


def post(url: str, picture: bytes, **query: str) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/file", params=query, files={"fileobject": ("p.jpg", picture)}, timeout=120)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def serve_proxy(velum: VelumUp) -> str:
    """The URL of Serve's proxy, which is told nobody: whoever is on the machine can try every port.

    Only Serve's answer is an object of routes. Ray's exporter of metrics answers every path with 200, and a while
    after the first request its text names the routes as well.
    """
    listening = {
        each.laddr.port
        for process in velum.tree()
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    for port in listening:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/-/routes", timeout=2).json() == {"/default": "default"}:
                return f"http://127.0.0.1:{port}"
        except (httpx.HTTPError, ValueError):
            continue  # gRPC, metrics, or another protocol of Ray's
    raise AssertionError(f"none of {sorted(listening)} is Serve's")


def test_a_picture_goes_in_and_comes_back_hidden_and_nothing_stays_behind(tmp_path: Path) -> None:
    with VelumUp(tmp_path) as velum:
        assert "self-check: 3 faces, 1 license-plate, 3 persons, 1 vehicle hidden" in velum.ready_line
        picture = sample_picture()
        task = post(velum.url, picture, face="true")
        assert task["status"] == "done"
        before, after = decoded(picture), decoded(httpx.get(str(task["anonymised_link"])).content)
        assert before.shape == after.shape
        for each in httpx.get(str(task["metadata_link"])).json()["detections"]:
            left, top, right, bottom = each["bbox"]
            assert np.abs(before - after)[top:bottom, left:right].mean() > 8
        road = np.s_[400:, :]
        assert np.abs(before - after)[road].mean() < 3, "nothing was found on the road, so nothing changed there"
        kept = post(velum.url, picture, face="true", lossless="true", gps="strip")
        assert (kept["parameters"]["lossless"], kept["parameters"]["gps"]) == (True, "strip")
        after = decoded(httpx.get(str(kept["anonymised_link"])).content)
        assert np.array_equal(before[road], after[road]), "to the bit"
        assert not np.array_equal(before, after)
        metrics = httpx.get(f"{velum.url}/metrics").text
        assert 'velum_attempts_total{result="succeeded"}' in metrics, "the controller's metrics are shown as well"
        assert "velum_http_requests_total" in metrics
        order = httpx.post(f"{serve_proxy(velum)}/default/attempts", json={"task": "t", "spec": {}})
        assert order.status_code == 401, "who is on the machine has no work done without Ray's token"
        processes = velum.tree()
        assert len(processes) > 3, "the process tree holds Ray"
        assert velum.stop(signal.SIGINT) == 0
    until(lambda: gone(processes), 10, f"all of {processes} ended")
    assert "Traceback" not in velum.log


def test_ctrl_c_answers_who_waits(tmp_path: Path) -> None:
    """A synchronous request gets its task, which is kept; nobody waits out a grace period."""
    with VelumUp(tmp_path, ["--no-self-check"]) as velum, ThreadPoolExecutor() as pool:
        files = {"fileobject": ("p.jpg", sample_picture())}
        waiting = pool.submit(httpx.post, f"{velum.url}/v1/file", params={"face": "true"}, files=files, timeout=60)
        until(lambda: bool(httpx.get(f"{velum.url}/v1/task/list").json()), 30, "the task was made")
        began = time.monotonic()
        assert velum.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 15
        answer = waiting.result()
    assert answer.status_code in (200, 202), answer.text  # 200 if the first replica was faster than the signal
    assert answer.json()["id"]
    assert "Traceback" not in velum.log


def test_ctrl_c_lets_an_upload_end_and_a_second_one_does_not(tmp_path: Path) -> None:
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:
        where = urlsplit(velum.url)
        with socket.create_connection((where.hostname, where.port), timeout=60) as client:
            head = f"POST /v1/file?face=1 HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-length: 100000\r\n"
            client.sendall(f"{head}content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode())
            until(lambda: "velum_http_requests_total" in httpx.get(f"{velum.url}/metrics").text, 30, "it answers")
            velum.process.send_signal(signal.SIGINT)
            until(lambda: "may go on for 600 s; another signal ends them" in velum.log, 30, "it says that it waits")
            assert velum.process.poll() is None
            began = time.monotonic()
            assert velum.stop(signal.SIGINT) == 0
            assert time.monotonic() - began < 30
            assert b" 503 " in client.recv(1000).splitlines()[0]
    assert "Traceback" not in velum.log


def test_tasks_and_results_outlive_a_restart(tmp_path: Path) -> None:
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:
        task = post(velum.url, sample_picture(), face="true")
        first = httpx.get(str(task["anonymised_link"])).content
        assert velum.stop(signal.SIGTERM) == 0
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:
        again = httpx.get(f"{velum.url}/v1/task/{task['id']}").json()
        assert again["status"] == "done"
        assert httpx.get(again["anonymised_link"]).content == first


def test_a_kill_loses_no_accepted_task(tmp_path: Path) -> None:
    """SIGKILL with tasks in every state; the next run ends them all, and no process of the first is left."""
    headers = {"x-is-async": "true"}
    velum = VelumUp(tmp_path)
    velum.start()
    processes = velum.tree()
    ids = []
    for _ in range(12):
        files = {"fileobject": ("p.jpg", sample_picture())}
        answer = httpx.post(f"{velum.url}/v1/file", params={"face": "true"}, files=files, headers=headers, timeout=60)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    velum.process.kill()
    velum.process.wait(10)
    until(lambda: gone(processes), 30, "Ray went with its parent")
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:

        def ended() -> bool:
            states = [httpx.get(f"{velum.url}/v1/task/{each}", timeout=30).json()["status"] for each in ids]
            assert not {"failed", "deleted"} & set(states), states
            return set(states) == {"done"}

        until(ended, 90, "all twelve were anonymized")


def test_when_ray_dies_it_says_so_and_ends(tmp_path: Path) -> None:
    """Better a service that ends, and is started again by who runs it, than one that takes work it cannot do."""
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:
        head = next(each for each in velum.tree() if "gcs_server" in each.name())
        processes = velum.tree()
        head.kill()
        assert velum.process.wait(60) == 1
        assert "Ray" in velum.log
    until(lambda: gone(processes), 20, "nothing is left")


def test_all_four_classes_with_nothing_fetched_on_a_machine_without_a_cache(tmp_path: Path) -> None:
    environment = {"VELUM_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    with VelumUp(tmp_path, ["--no-self-check"], environment) as velum:
        picture = sample_picture()
        task = post(velum.url, picture, face="true", license_plate="true", person="true", vehicle="true")
        metadata = httpx.get(str(task["metadata_link"])).json()
        found = Counter(each["type_label"] for each in metadata["detections"])
        assert found == {"face": 3, "license-plate": 1, "person": 3, "vehicle": 1}
        result = httpx.get(str(task["anonymised_link"])).content
        assert judge(picture, result, metadata) == found
    assert not (tmp_path / "cache").exists()


def test_an_ensemble_and_other_packs_from_a_folder(tmp_path: Path) -> None:
    shared = os.environ.get("VELUM_SHARED")
    if not shared:
        pytest.skip("VELUM_SHARED names no folder with the weights of the street pack")
    classes = ["face", "license-plate", "person", "vehicle"]
    flags = [part for name in classes for part in ("-a", name)]
    packs = ["--packs", f"{shared}/data/models", "--pack", "velum-street", "--pack", "street"]
    with VelumUp(tmp_path, [*packs, *flags]) as velum:
        assert "default (velum-street + street)" in velum.ready_line
        street = Path(shared, "data/images/street.png").read_bytes()
        task = post(velum.url, street, face="true", license_plate="True", person="yes", vehicle="on")
        metadata = httpx.get(str(task["metadata_link"])).json()
        found = {each["type_label"] for each in metadata["detections"]}
        assert {"face", "person", "vehicle"} <= found
        before, after = decoded(street), decoded(httpx.get(str(task["anonymised_link"])).content)
        for each in metadata["detections"]:
            left, top, right, bottom = each["bbox"]
            inside = np.abs(before - after)[top:bottom, left:right]
            assert inside.size == 0 or inside.mean() > 4, each
        untouched = np.abs(before - after).max(axis=2) == 0
        assert untouched.mean() > 0.3, "a PNG keeps every pixel outside the regions"
        for model in ("velum-street", "street"):
            assert post(velum.url, sample_picture(), face="true", model=model)["status"] == "done", model
        replica = next(each for each in velum.tree() if "ServeReplica:default" in " ".join(each.cmdline()))
        replica.kill()
        assert post(velum.url, sample_picture(), face="true")["status"] == "done", "a dead replica is replaced"


def test_ctrl_c_during_start_up_leaves_nothing(tmp_path: Path) -> None:
    velum = VelumUp(tmp_path)
    velum.spawn()
    until(lambda: len(velum.tree()) > 1, 60, "Ray's first process was started")
    processes = velum.tree()
    assert velum.stop(signal.SIGINT) == 0
    until(lambda: gone(processes), 10, "nothing is left")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-a", "hat"], "-a: 'hat' is not a class; there are face"),
        (["--pack", "zebra"], "no model pack named 'zebra'"),
        (["--model", "nosuch"], "--model: no model 'nosuch'; there are"),
        (["--tls-cert", "cert.pem"], "--tls-key: HTTPS needs both"),
        (["--packs", "no/such/folder"], "no/such/folder"),
        (["--config", "no/such.toml"], "config: no/such.toml"),
        (["--host", "192.0.2.1"], "--host, --port: cannot listen on 192.0.2.1"),
        (["--input", "gopher://x/y"], "gopher://x/y"),
        (["--format", "round"], "api.format"),
        (["--save-mask", "some"], "api.save_mask"),
        (["--api-endpoint", "notaurl"], "api.endpoint"),
        (["--kubeconfig", "no/kube.yaml"], "--kubeconfig: no/kube.yaml"),
        (["--log-level", "loud"], "--log-level: 'loud'"),
        (["--video-codec", "wmv"], "video.codec: Input should be 'x264'"),
        (["--video-preset", "warp"], "video preset 'warp' is none of x264's; one of ultrafast"),
    ],
)
def test_a_wrong_flag_is_named(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run_up("--data", tmp_path / "data", "--port", "0", *arguments)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_up("--data", tmp_path, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1" in done.stderr


def test_a_data_folder_serves_one(tmp_path: Path) -> None:
    with VelumUp(tmp_path, ["--no-self-check"]) as velum:
        second = run_up("--data", velum.data, "--port", "0")
    assert second.returncode == 2
    assert "in use by another velum" in second.stderr
