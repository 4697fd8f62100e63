"""A bucket is opened with what the chart puts into a pod: a played S3 service sees who asks, and for what."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localnode import credentials
from support import helmchart
from support.helmchart import Helm, Json, named, pods, rayservice

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
    """An S3 service that has nothing; with `own` it speaks TLS, with a certificate of that authority."""

    def __init__(self, own: credentials.Files | None = None) -> None:
        self.asked: list[tuple[str, str]] = []
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bucket.asked.append((self.path, self.headers.get("Authorization", "")))
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] - clients that do not trust us hang up
        if own is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(own.certificate("kube-apiserver"), own.key("kube-apiserver"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if own is not None else ''}://127.0.0.1:{self.server.server_port}"


def served(bucket: Bucket) -> Iterator[Bucket]:
    thread = threading.Thread(target=bucket.server.serve_forever)
    thread.start()
    yield bucket
    bucket.server.shutdown()
    thread.join()
    bucket.server.server_close()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    yield from served(Bucket())


@pytest.fixture
def authority(tmp_path: Path) -> credentials.Files:
    """An authority of the site's own, with a certificate for 127.0.0.1."""
    return credentials.write(tmp_path / "authority", os.environ)


@pytest.fixture
def tls_bucket(authority: credentials.Files) -> Iterator[Bucket]:
    yield from served(Bucket(authority))


def environment(objects: list[Json], part: str) -> dict[str, str]:
    """What the chart puts into the first container of a pod, its Secrets filled in."""
    variables = {"PATH": os.environ["PATH"]}
    for each in dict(pods(objects))[part]["spec"]["containers"][0]["env"]:
        key = each.get("valueFrom", {}).get("secretKeyRef", {})
        if key and key["name"] != "velum-bucket":
            continue
        variables[each["name"]] = SECRET[key["key"]] if key else each["value"]
    return variables


class TestBucket:
    @pytest.mark.parametrize("part", ["velum-operator", "velum-ingress", "worker cpu"])
    def test_it_is_found_and_asked_with_the_secrets_keys(self, helm: Helm, bucket: Bucket, part: str) -> None:
        values = helmchart.CHART / "ci" / "s3-values.yaml"
        objects = helm.objects("--values", values, f"--set=storage.s3.endpoint={bucket.url}")
        assert rayservice(objects) is not None
        config = named(objects, "ConfigMap", "velum-config")["data"]["config.toml"]
        urls = [line.split('"')[1] for line in config.splitlines() if "s3://" in line]
        argv = [sys.executable, "-c", LOOK, *urls]
        given = environment(objects, part)
        done = subprocess.run(argv, env=given, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.strip() == "there is none", done.stderr
        assert bucket.asked[0][0] == "/velum/input/tasks/a/input"
        assert "Credential=AKID/" in bucket.asked[0][1]
        assert "/eu-central-1/s3/" in bucket.asked[0][1]


class TestHead:
    """Ray's head runs no replica; what looks through packs there, when a model is deployed, opens no storage."""

    @pytest.mark.parametrize("values", helmchart.VALUES, ids=lambda file: file.name.removesuffix("-values.yaml"))
    def test_it_has_neither_keys_nor_files(self, helm: Helm, values: Path) -> None:
        given = dict(pods(helm.objects("--values", values)))
        if "head" not in given:
            pytest.skip("these values name a Ray that exists")
        (head,) = given["head"]["spec"]["containers"]
        assert not [each["name"] for each in head["env"] if each["name"].startswith("AWS_")]
        assert "storage" not in {each["name"] for each in given["head"]["spec"]["volumes"]}


ASK = """
import asyncio, sys, aiohttp
from obstore.exceptions import BaseError
from obstore.store import from_url
import obstore
async def asked(url):
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status
def stored():
    try:
        store = from_url("s3://velum/input", retry_config={"max_retries": 0})
        obstore.get(store, "a")
    except FileNotFoundError:
        return 404
    except BaseError as error:
        return "UnknownIssuer" in str(error) and "untrusted"
try:
    print(asyncio.run(asked(sys.argv[1])), stored())
except aiohttp.ClientConnectorCertificateError:
    print("untrusted", stored())
"""


class TestTrust:
    """Storage (obstore), and webhooks and URL sources (aiohttp), in the environment of the chart's pods."""

    @pytest.mark.parametrize("part", ["velum-operator", "velum-ingress", "worker cpu"])
    @pytest.mark.parametrize("given", [True, False])
    def test_a_sites_own_authority(
        self, helm: Helm, tls_bucket: Bucket, authority: credentials.Files, part: str, given: bool
    ) -> None:
        flags = [
            f"--set=storage.s3.endpoint={tls_bucket.url}",
            *(["--set=trust.existingConfigMap=site"] if given else []),
        ]
        objects = helm.objects("--values", helmchart.CHART / "ci" / "s3-values.yaml", *flags)
        variables = environment(objects, part)
        if given:
            spec = dict(pods(objects))[part]["spec"]
            (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "trust"]
            (volume,) = [each["configMap"] for each in spec["volumes"] if each["name"] == "trust"]
            assert volume == {"name": "site", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
            assert variables["SSL_CERT_FILE"] == f"{mount['mountPath']}/ca.crt"
            variables["SSL_CERT_FILE"] = str(authority.authority)  # what the kubelet would mount there
        argv = [sys.executable, "-c", ASK, tls_bucket.url]
        done = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False, timeout=60)
        assert done.stdout.strip() == ("404 404" if given else "untrusted untrusted"), done.stderr
