"""`/metrics` on a port of its own, over real sockets."""

import socket
from pathlib import Path

import httpx
import pytest

from support.workshop import Shop, open_shop
from velum.errors import InvalidInput
from velum_cli import listen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


async def test_it_shows_the_apis_metrics_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    async with (
        open_shop(tmp_path, api={"metrics_port": port}) as shop,
        listen.serving_metrics(_metrics(shop), shop.settings.api),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        await shop.post()
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'velum_http_requests_total{method="POST",route="/v1/file",status="200"} 1.0' in answer.text
        assert (await client.get("/v1/task/list")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with open_shop(tmp_path, api={"metrics_port": port}) as shop:
            with pytest.raises(InvalidInput, match=rf"api.metrics_port: cannot listen on 127.0.0.1:{port}"):
                async with listen.serving_metrics(_metrics(shop), shop.settings.api):
                    pass


async def test_without_one_nothing_listens(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        assert shop.settings.api.metrics_port == 0
        async with listen.serving_metrics(_metrics(shop), shop.settings.api):
            assert (await shop.client.get("/metrics")).status_code == 200


def _metrics(shop: Shop) -> listen.Metrics:
    found: listen.Metrics = shop.client._transport.app.state.services.metrics  # type: ignore[attr-defined]
    return found
