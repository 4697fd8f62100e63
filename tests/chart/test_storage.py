"""A bucket is opened with what the chart puts into a pod: a played S3 service sees who asks, and for what."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from support import helmchart
from support.helmchart import Helm, named, pods, rayservice

SECRET = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
LOOK = """
import asyncio, sys
from velum.errors import NotFound
from velum.storage import Storage
try:
    asyncio.run(Storage.open(sys.argv[1], sys.argv[2]).inputs.get("tasks/a/input"))
except NotFound:
    print("there is none")
"""


class Bucket:
    """An S3 service that has nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.asked.append((self.path, self.headers.get("Authorization", "")))
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    found = Bucket()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


class TestBucket:
    @pytest.mark.parametrize("part", ["velum-operator", "velum-ingress", "head", "worker cpu"])
    def test_it_is_found_and_asked_with_the_secrets_keys(self, helm: Helm, bucket: Bucket, part: str) -> None:
        values = helmchart.CHART / "ci" / "s3-values.yaml"
        objects = helm.objects("--values", values, f"--set=storage.s3.endpoint={bucket.url}")
        assert rayservice(objects) is not None
        config = named(objects, "ConfigMap", "velum-config")["data"]["config.toml"]
        urls = [line.split('"')[1] for line in config.splitlines() if "s3://" in line]
        variables = {"PATH": os.environ["PATH"]}
        for each in dict(pods(objects))[part]["spec"]["containers"][0]["env"]:
            key = each.get("valueFrom", {}).get("secretKeyRef", {})
            if key and key["name"] != "velum-bucket":
                continue
            variables[each["name"]] = SECRET[key["key"]] if key else each["value"]
        argv = [sys.executable, "-c", LOOK, *urls]
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.strip() == "there is none", done.stderr
        assert bucket.asked[0][0] == "/velum/input/tasks/a/input"
        assert "Credential=AKID/" in bucket.asked[0][1]
        assert "/eu-central-1/s3/" in bucket.asked[0][1]
