"""The addresses of the API, a module per subject."""

from velum_ingress.routes import files, pages, results, status, tasks

ROUTERS = (files.router, results.router, tasks.router, status.router, pages.router)
"""In the order of the contract."""

__all__ = ["ROUTERS"]
