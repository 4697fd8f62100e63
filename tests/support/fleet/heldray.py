"""Ray played for a cluster without one: its dashboard, its proxies, and replicas that work until they are let go.

KubeRay reaches it as its HTTP proxy (HTTP_PROXY): whatever head or pod it asks, in whichever Service's name, this
answers. KubeRay itself does not know that nothing runs behind the names.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal

from support.playedray import PlayedRay
from velum.storage import BlobStore
from velum.tasks.order import WorkOrder


class HeldRay(PlayedRay):
    """Attempts wait in `held`, as requests do that Serve's proxy has taken, until `let_go`."""

    def __init__(self, outputs: BlobStore) -> None:
        super().__init__(outputs)
        self.held: dict[str, asyncio.Event] = {}
        self.most = 0
        self._portal: BlockingPortal | None = None

    def routes(self) -> list[web.RouteDef]:
        return [*super().routes(), web.get("/-/healthz", self._healthz)]

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="success")

    async def _succeed(self, order: WorkOrder) -> web.Response:
        gate = self.held[order.task] = asyncio.Event()
        self.most = max(self.most, len(self.held))
        try:
            await gate.wait()
        finally:
            del self.held[order.task]
        return await super()._succeed(order)

    def working(self, model: str) -> list[WorkOrder]:
        """What this model's replicas have at this moment, in the order in which it came."""
        return [order for order in self.orders if order.task in self.held and order.spec.model == model]

    def let_go(self, *names: str) -> None:
        """Let these attempts succeed, all where none is named. For another thread."""
        assert self._portal is not None
        self._portal.call(self._open, names)

    async def _open(self, names: tuple[str, ...]) -> None:
        for name in names or self.held:
            self.held[name].set()

    @contextmanager
    def in_a_thread(self) -> Iterator["HeldRay"]:
        """Answer from a thread of its own for as long as the block lasts."""
        with start_blocking_portal() as portal:
            self._portal = portal
            portal.call(self.start)
            try:
                yield self
            finally:
                portal.call(self.stop)
