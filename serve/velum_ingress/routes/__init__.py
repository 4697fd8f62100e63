"""The addresses of the API, a module per subject."""

from fastapi import APIRouter

from velum_ingress.routes import files, metrics, pages, results, status, tasks

ROUTERS = (files.router, results.router, tasks.router, status.router, metrics.router, pages.router)
"""In the order of the contract."""


def routers(*, with_metrics: bool) -> tuple[APIRouter, ...]:
    """Return the routers of an app; `/metrics` is left out where it has a port of its own."""
    return tuple(router for router in ROUTERS if with_metrics or router is not metrics.router)


__all__ = ["ROUTERS", "routers"]
