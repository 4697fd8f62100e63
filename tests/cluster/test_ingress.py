"""`velum ingress`, the process of a pod: its ports, and how it goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from support.workshop import picture

if TYPE_CHECKING:
    from conftest import ControlPlane

LIMIT = 60.0


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def ready(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()[1]
        try:
            if httpx.get(f"{url}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("it was not ready in time")


def test_an_upload_under_way_outlives_the_signal(controlplane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    model = {"apiVersion": "velum.dev/v1alpha1", "kind": "AnonymizationModel", "metadata": {"name": "default"}}
    controlplane.apply({**model, "spec": {"packs": ["street"], "classes": ["face"]}}, namespace=namespace)
    port, metrics = free_ports()
    stores = {f"VELUM_STORAGE_{side}": (tmp_path / side).as_uri() for side in ("INPUT", "OUTPUT")}
    argv = [sys.executable, "-m", "velum_cli.main", "ingress", f"--kubeconfig={controlplane.kubeconfig}"]
    process = subprocess.Popen(
        [*argv, f"--namespace={namespace}", f"--port={port}"],
        env={**os.environ, **stores, "VELUM_API_METRICS_PORT": str(metrics)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ready(f"http://127.0.0.1:{port}", process)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 404
        assert "velum_http_requests_total" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
        body = b"--b\r\ncontent-disposition: form-data; name=fileobject\r\n\r\n" + picture() + b"\r\n--b--\r\n"
        head = f"POST /v1/file?face=1 HTTP/1.1\r\nhost: v\r\nx-is-async: 1\r\ncontent-length: {len(body)}\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
            client.sendall(f"{head}content-type: multipart/form-data; boundary=b\r\n\r\n".encode() + body[:300])
            process.send_signal(signal.SIGTERM)
            refused(port)
            assert "velum_http_received_bytes_total" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
            client.sendall(body[300:])
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        _, said = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, said
    finally:
        process.kill()
        process.wait()
    status, _, document = answer.partition(b"\r\n\r\n")
    assert status.split()[1] == b"202", answer
    name = json.loads(document)["id"]
    assert controlplane.get("anontask", name, "-n", namespace)["metadata"]["name"] == name
    assert "1 requests may go on for 600 s" in said
    assert "Traceback" not in said


def refused(port: int) -> None:
    """Wait until nobody listens there any more."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("it still takes connections")
