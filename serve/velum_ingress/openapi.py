"""The OpenAPI document: served at /openapi.json, checked in as docs/openapi.json (hack/generate) and compared in CI."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan

from velum_ingress import schemas
from velum_ingress.version import VERSION

TITLE = "Velum"
DESCRIPTION = """Anonymizes pictures and videos: faces, licence plates, persons and vehicles.

Parameters may be written with `-` or `_`; booleans in any case. An empty value means the default.
Errors are `{"status_code", "error"}` and problem details (RFC 9457) at the same time.
"""


def bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return an app without routes, described. FastAPI's own pages are off: they load code from elsewhere."""
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    generate = app.openapi
    app.openapi = lambda: _with_problem(generate)  # type: ignore[method-assign]
    return app


def _with_problem(generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Add the shape that errors refer to: FastAPI knows no other content type than JSON for a model of an answer."""
    found = generate()
    problem = schemas.Problem.model_json_schema()
    found.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problem
    return found


def document() -> dict[str, Any]:
    """Return the OpenAPI document of all routes, as a running server gives it."""
    from velum_ingress.routes import ROUTERS  # noqa: PLC0415 - the routes' page shows this document

    app = bare_app()
    for router in ROUTERS:
        app.include_router(router)
    return app.openapi()
