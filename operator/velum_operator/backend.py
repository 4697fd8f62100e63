"""What the operator needs of the thing that serves models, whatever runs it.

| implementation | who runs Ray | how the serving document gets there |
|---|---|---|
| `velum_operator.rayapi.RayClient` | somebody: `velum up`, or a cluster that exists | PUT to Ray's dashboard |
| `velum_operator.kuberay.KubeRayService` | KubeRay | written into the RayService that we own |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

PART = "Ray Serve"
"""The name that errors give it."""


@dataclass(frozen=True)
class Application:
    """What is known about one application: Ray's status word, why, and how many replicas run (None: not known).

    `note` is what people should know besides, whatever the status is.
    """

    status: str
    message: str = ""
    replicas: int | None = 0
    note: str = ""


@dataclass(frozen=True)
class Deployed:
    """What is served now.

    `stale`: what stands there is not what was last applied, so it has to be applied again. `endpoints`: Ray pods that
    take requests, None where nobody counts them.
    """

    applications: Mapping[str, Application] = field(default_factory=dict)
    stale: bool = False
    endpoints: int | None = None


class ServingBackend(Protocol):
    """Serves models."""

    @property
    def in_advance(self) -> bool:
        """Whether every model is served before a task needs it."""
        ...

    async def deployed(self) -> Deployed:
        """Return what is served. Raises Unavailable."""
        ...

    async def apply(self, config: dict[str, Any]) -> None:
        """Have exactly this document served. Raises Unavailable, and ServingRefused when the document is at fault."""
        ...

    async def token(self, refused: str | None = None) -> str:
        """Return the token that Ray wants with work orders, "" where it has none.

        refused: one that Ray does not take any more, so that it is looked for again. Raises Unavailable.
        """
        ...
