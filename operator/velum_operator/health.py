"""/metrics and /healthz of the operator: two plain pages on a port that the cluster's probes and Prometheus reach."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from velum.errors import Unavailable


@asynccontextmanager
async def serving_health(
    host: str | None, port: int, registry: CollectorRegistry, trouble: Callable[[], str]
) -> AsyncIterator[None]:
    """Serve both pages while the block runs; where `host` is None, on every address of IPv4 and IPv6.

    `trouble` returns why the operator is not alive, "" when it is.

    Raises:
        Unavailable: the port is taken.
    """

    async def healthz(_: web.Request) -> web.Response:
        why = trouble()
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            text = f"port {port} of {host or 'this machine'}: {error.strerror}; set controller.metrics_port, 0 for none"
            raise Unavailable("the metrics page", text) from error
        yield
    finally:
        await runner.cleanup()
