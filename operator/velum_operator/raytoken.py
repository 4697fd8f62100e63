"""Ray's token as KubeRay keeps it: in a Secret for each Ray cluster, with a name that follows from the cluster's.

Whether a cluster has one, its Secret tells: the RayService may ask for authentication already while the cluster that
serves is of the time before, or the other way round. The token is in memory only: in no document, log or status.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from velum.errors import NotFound, Unavailable
from velum.tasks.kubernetes.collection import Collection
from velum_operator.backend import PART
from velum_operator.rayservice import TOKEN_KEY, token_secret

AGAIN_SECONDS = 1.0
"""Between looks for a token that is refused: hundreds of orders may be refused at once."""


async def token_of(secrets: Collection, cluster: str) -> SecretStr | None:
    """Return the token of this RayCluster, None when KubeRay has made none. Raises Unavailable."""
    name = token_secret(cluster)
    try:
        data = (await secrets.get(name)).get("data") or {}
        return SecretStr(base64.b64decode(data[TOKEN_KEY]).decode().strip())
    except NotFound:
        return None
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise Unavailable(PART, f"KubeRay's Secret {name!r} has no token of Ray under {TOKEN_KEY}") from error


class OrderTokens:
    """Keeps the token of the cluster that serves until it is refused: another cluster may serve by then."""

    def __init__(self, read: Callable[[], Awaitable[str]]) -> None:
        self._read = read
        self._kept: str | None = None
        self._looked = 0.0
        self._turn = asyncio.Lock()

    async def get(self, refused: str | None) -> str:
        """Return the token. Raises what reading it raises."""
        async with self._turn:
            lately = time.monotonic() - self._looked < AGAIN_SECONDS
            if self._kept is None or (self._kept == refused and not lately):
                self._kept = await self._read()
                self._looked = time.monotonic()
            return self._kept
