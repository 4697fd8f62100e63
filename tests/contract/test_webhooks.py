"""A webhook end to end: the real server calls a real receiver with the task and the secret header."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

import httpx
import pytest

from velum_cli.sample import sample_picture
from velum_ingress.schemas import Task

Call = tuple[dict[str, str], dict[str, Any]]


class Receiver(ThreadingHTTPServer):
    """Takes calls and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: Queue[Call] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.calls.put(({key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("place", ["query", "headers"])
def test_the_webhook_gets_the_task_and_the_secret(client: httpx.Client, receiver: Receiver, place: str) -> None:
    secret = {"web-auth-header-name": "X-Api-Key", "web-auth-header-value": "zaubernuss"}
    answer = client.post(
        "/v1/file",
        params={"face": "True", "webhook": receiver.url, **(secret if place == "query" else {})},
        headers=secret if place == "headers" else {},
        files={"fileobject": ("street.jpg", sample_picture(), "image/jpg")},
    )
    assert answer.status_code == 200, answer.text
    assert "zaubernuss" not in answer.text
    headers, body = receiver.calls.get(timeout=30)
    assert headers["x-api-key"] == "zaubernuss"
    assert headers["content-type"].startswith("application/json")
    assert Task.model_validate(body).id == answer.json()["id"]
    assert body["status"] == "done"
    assert client.get(body["anonymised_link"]).status_code == 200


def test_a_failed_task_is_told_too(client: httpx.Client, receiver: Receiver) -> None:
    data = bytearray(sample_picture())
    data[2:4] = b"\xff\xc0"  # a frame header where the first segment was
    answer = client.post("/v1/file", params={"face": "1", "webhook": receiver.url}, files={"fileobject": bytes(data)})
    assert answer.status_code in {400, 413}, answer.text
    if "task" in answer.json():
        _, body = receiver.calls.get(timeout=30)
        assert body["status"] == "failed"
        assert body["error"]
