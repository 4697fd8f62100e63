"""`/docs`, the API's reference, and `/`, a page to try it with. Both stand alone: nothing is loaded from elsewhere.

The policy that goes with them lets a browser run exactly the script that is in the page, known by its hash, and talk to
this server only: a name of a file or a host that turned into markup could do nothing.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from velum_ingress.reference import reference
from velum_ingress.routes.reading import readable
from velum_ingress.services import base_url

router = APIRouter()

ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<circle cx="8" cy="8" r="7" fill="#567"/><path d="M3 6h10v4H3z" fill="#fff"/>
</svg>
"""

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)


@readable(router, "/", include_in_schema=False)
async def page(_: Request) -> Response:
    """Return a page with a form: a picture or video in, the anonymized one out."""
    return _html(*_page())


@readable(router, "/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Return the reference page."""
    return _html(reference(request.app.openapi(), base_url(request)), "'none'")


@readable(router, "/favicon.svg", include_in_schema=False)
async def icon(_: Request) -> Response:
    """Return the pages' icon: a face with a bar before its eyes."""
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


@cache
def _page() -> tuple[str, str]:
    """Return the page, and its script as a content security policy names it."""
    text = (files("velum_ingress") / "page.html").read_text(encoding="utf-8")
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return text, f"'sha256-{digest}'"


def _html(text: str, scripts: str) -> Response:
    policy = POLICY.format(scripts=scripts)
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})
