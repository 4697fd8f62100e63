"""A real HTTP server that speaks Ray Serve's two languages: the REST API of the dashboard, and work orders.

It can be stopped and started again on the same port, with or without its memory, which is what "Ray is gone" and "Ray
was restarted" look like from outside. `python -m support.playedray PORT OUTPUT_URL` runs it as a process of its own,
in which attempts make nothing but their manifest: the benchmark's pipeline that does nothing.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from support.operatorkit import write_result
from velum.api.status import TaskResult
from velum.storage import BlobStore
from velum.tasks.order import Manifest, WorkOrder

Answer = Callable[[WorkOrder], Awaitable[web.StreamResponse]]


class PlayedRay:
    """Ray's dashboard and Serve's proxy on one port. An application that was put runs at once unless told otherwise."""

    def __init__(self, outputs: BlobStore | None = None, *, token: str = "") -> None:
        self.outputs = outputs
        self.token = token
        self.port = 0
        self.configs: list[dict[str, Any]] = []
        self.looks = 0
        self.applications: dict[str, dict[str, Any]] = {}
        self.next_status: dict[str, tuple[str, str]] = {}
        self.trigger = "CONFIG_UPDATE_COMPLETED"
        self.version = "2.60.0"
        self.refuse = ""
        self.orders: list[WorkOrder] = []
        self.headers: list[dict[str, str]] = []
        self.closed: list[str] = []
        self.answers: list[Answer] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [
            web.get("/api/serve/applications/", self._get),
            web.put("/api/serve/applications/", self._put),
            web.get("/api/version", self._version),
            web.post("/{model}/attempts", self._attempt),
        ]

    async def start(self) -> "PlayedRay":
        app = web.Application()
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self, *, forget: bool = False) -> None:
        """Close every connection, also those with work in flight. `forget`: nothing is deployed afterwards."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if forget:
            self.applications.clear()

    async def __aenter__(self) -> "PlayedRay":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def say(self, name: str, status: str, message: str = "") -> None:
        """Set what Ray says about an application, now and after the next PUT."""
        self.next_status[name] = (status, message)
        if name in self.applications:
            self.applications[name] = self._details(name)

    def _details(self, name: str) -> dict[str, Any]:
        status, message = self.next_status.get(name, ("RUNNING", ""))
        replicas = [{"state": "RUNNING"}] if status == "RUNNING" else [{"state": "STARTING"}]
        deployment = {"status": "HEALTHY", "status_trigger": self.trigger, "message": "", "replicas": replicas}
        return {"name": name, "status": status, "message": message, "deployments": {"Anonymizer": deployment}}

    def _allowed(self, request: web.Request) -> bool:
        return not self.token or request.headers.get("Authorization") == f"Bearer {self.token}"

    async def _get(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.Response(status=401, text="Unauthorized")
        self.looks += 1
        return web.json_response({"applications": self.applications, "proxies": {}})

    async def _version(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.Response(status=401, text="Unauthorized")
        return web.json_response({"version": "4", "ray_version": self.version, "ray_commit": "0"})

    def serve(self, *names: str) -> None:
        """Have these applications, without a PUT: KubeRay's, which is not played here, would have come."""
        self.applications = {name: self._details(name) for name in names}

    async def _put(self, request: web.Request) -> web.Response:
        if not self._allowed(request):
            return web.Response(status=401, text="Unauthorized")
        config = await request.json()
        self.configs.append(config)
        if self.refuse:
            return web.Response(status=400, text=self.refuse)
        self.applications = {app["name"]: self._details(app["name"]) for app in config["applications"]}
        return web.Response()

    async def _attempt(self, request: web.Request) -> web.StreamResponse:
        if not self._allowed(request):
            return web.Response(status=401, text="Ray's token is missing")
        order = WorkOrder.model_validate(await request.json())
        if request.match_info["model"] not in self.applications:
            return web.Response(status=404, text="Path not found")
        self.orders.append(order)
        self.headers.append(dict(request.headers))
        try:
            answer = self.answers.pop(0) if self.answers else self._succeed
            return await answer(order)
        except asyncio.CancelledError:
            self.closed.append(order.task)
            raise

    async def _succeed(self, order: WorkOrder) -> web.Response:
        assert self.outputs is not None
        manifest = await write_result(self.outputs, order)
        return web.json_response({"outcome": "succeeded", "manifest": manifest.wire()})


def reply(status: int = 200, body: Any = None, text: str | None = None) -> Answer:
    """Return an answer that is always this."""

    async def answer(_: WorkOrder) -> web.Response:
        return web.Response(status=status, text=text) if text is not None else web.json_response(body, status=status)

    return answer


def lines(*documents: Any) -> Answer:
    """Return an answer that tells these documents a line each. It waits for an event, and sends bytes as they are."""

    async def answer(_: WorkOrder) -> web.StreamResponse:
        return _Lines(documents)

    return answer


class _Lines(web.StreamResponse):
    """A body that is made while it is sent."""

    def __init__(self, documents: tuple[Any, ...]) -> None:
        super().__init__()
        self._documents = documents

    async def prepare(self, request: web.BaseRequest) -> Any:
        writer = await super().prepare(request)
        for document in self._documents:
            if isinstance(document, asyncio.Event):
                await document.wait()
            else:
                await self.write(document if isinstance(document, bytes) else json.dumps(document).encode() + b"\n")
        return writer


class NothingDone(PlayedRay):
    """Its attempts write only what ends an attempt."""

    async def _succeed(self, order: WorkOrder) -> web.Response:
        assert self.outputs is not None
        manifest = Manifest(uid=order.uid, media_type="image/jpeg", result=TaskResult(attempt=order.attempt), seconds=0)
        await self.outputs.put(order.manifest_key, manifest.model_dump_json(by_alias=True).encode())
        return web.json_response({"outcome": "succeeded", "manifest": manifest.wire()})


async def _main(port: int, output_url: str) -> None:
    ray = NothingDone(BlobStore(output_url))
    ray.port = port
    async with ray:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2]))
