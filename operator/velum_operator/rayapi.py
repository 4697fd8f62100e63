"""Ray Serve's REST API on Ray's dashboard: what runs, and what shall run.

`GET` and `PUT /api/serve/applications/` (https://docs.ray.io/en/latest/serve/api/#serve-rest-api). With token
authentication on (the default for clusters since Ray 2.52) both want `Authorization: Bearer <token>`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from velum.errors import Unavailable
from velum.settings import ServingSettings
from velum_operator.backend import PART, Application, Deployed
from velum_operator.errors import ServingRefused
from velum_operator.raywords import shown
from velum_operator.serving import DEPLOYMENT

READ_SECONDS = 10.0
"""How long a look at Ray may take."""

APPLY_SECONDS = 120.0
"""How long a config may take to be accepted: the first one starts Serve's controller and proxies."""

STARTUP_FAILED = "REPLICA_STARTUP_FAILED"
"""Ray's word for why a deployment is unhealthy, when no replica could be started. It calls a deployment that failed so
while it scaled up from nothing UNHEALTHY and not DEPLOY_FAILED (DeploymentStatusInfo.handle_transition), although none
answers."""

TEXT = 1000
"""Characters of a refusal that are shown."""


class RayClient:
    """Talks to one dashboard. Use as an async context manager."""

    in_advance = False  # each application starts with a replica, which is for tasks that are there

    def __init__(self, settings: ServingSettings) -> None:
        self._dashboard = settings.dashboard.rstrip("/")
        self._url = f"{self._dashboard}/api/serve/applications/"
        self._token = settings.token.get_secret_value() if settings.token is not None else ""
        self._headers = bearer(self._token)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deployed(self) -> Deployed:
        """Return what runs. Raises Unavailable."""
        async with self._call("GET", READ_SECONDS) as response:
            await _accepted(response)
            try:
                return parse_deployed(await response.json())
            except (ValueError, TypeError, AttributeError) as error:
                raise Unavailable(PART, f"{self._url} gave an answer that makes no sense: {error}") from error

    async def version(self) -> str:
        """Return the version of Ray that runs there. Raises Unavailable."""
        async with self._call("GET", READ_SECONDS, url=f"{self._dashboard}/api/version") as response:
            await _accepted(response)
            return str((await response.json())["ray_version"])

    async def apply(self, config: dict[str, Any]) -> None:
        """Make Ray serve exactly this. Raises Unavailable, and ServingRefused when the config is at fault."""
        async with self._call("PUT", APPLY_SECONDS, config) as response:
            if response.status == 400:
                raise ServingRefused((await response.text())[:TEXT])
            await _accepted(response)

    async def token(self, refused: str | None = None) -> str:  # noqa: ARG002 - there is no other
        """Return the token that the settings name, "" when they name none."""
        return self._token

    @asynccontextmanager
    async def _call(
        self, method: str, seconds: float, body: Any = None, url: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise Unavailable(PART, "the client is closed")
        timeout, url = aiohttp.ClientTimeout(total=seconds), url or self._url
        try:
            async with self._session.request(method, url, json=body, timeout=timeout) as response:
                yield response
        except TimeoutError as error:
            raise Unavailable(PART, f"{url} gave no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(PART, f"{url}: {error or type(error).__name__}") from error


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


async def _accepted(response: aiohttp.ClientResponse) -> None:
    if response.status in {401, 403}:
        raise Unavailable(PART, f"the dashboard answered {response.status}: set serving.token (VELUM_SERVING_TOKEN)")
    if response.status != 200:
        raise Unavailable(PART, f"the dashboard answered {response.status}: {(await response.text())[:TEXT].strip()}")


def parse_deployed(body: Any) -> Deployed:
    """Return what Ray's answer (`ServeInstanceDetails`) says, of which only a little matters."""
    return Deployed({name: _application(details) for name, details in body["applications"].items()})


def _application(details: Any) -> Application:
    deployment = (details.get("deployments") or {}).get(DEPLOYMENT) or {}
    replicas = sum(1 for replica in deployment.get("replicas") or () if replica.get("state") == "RUNNING")
    message = shown(str(details.get("message") or ""), [str(deployment.get("message") or "")])
    status = str(details["status"])
    if status == "UNHEALTHY" and not replicas and deployment.get("status_trigger") == STARTUP_FAILED:
        status = "DEPLOY_FAILED"
    return Application(status, message, replicas)
