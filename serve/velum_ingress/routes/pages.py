"""`/docs`, the API's reference, and `/`, a page to try it with. Both stand alone: nothing is loaded from elsewhere."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from velum_ingress.reference import reference
from velum_ingress.routes.reading import readable
from velum_ingress.services import base_url

router = APIRouter()

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; img-src 'self' blob:; connect-src 'self'; "
FRAMES = "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
HEADERS = {"Content-Security-Policy": POLICY + FRAMES, "X-Content-Type-Options": "nosniff"}


@readable(router, "/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Return the reference page."""
    return HTMLResponse(reference(request.app.openapi(), base_url(request)), headers=HEADERS)
