"""`/metrics` for Prometheus: beside the API, or where it has a port of its own, on that and nowhere else."""

from fastapi import APIRouter, Request
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from velum_ingress import described
from velum_ingress.metrics import Metrics
from velum_ingress.routes.reading import readable
from velum_ingress.services import services

router = APIRouter(tags=["server"])


@readable(router, "/metrics", **described.METRICS)
async def metrics(request: Request) -> Response:
    """Return the server's metrics in Prometheus' text format."""
    return _shown(services(request).metrics)


def metrics_app(found: Metrics) -> Starlette:
    """Return an app that knows `/metrics` alone."""

    async def page(_: Request) -> Response:
        return _shown(found)

    return Starlette(routes=[Route("/metrics", page)])


def _shown(found: Metrics) -> Response:
    return Response(found.text(), headers={"Content-Type": found.content_type})
