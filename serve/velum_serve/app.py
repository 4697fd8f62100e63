"""The Ray Serve application of one model: `import_path: velum_serve.app:build` in the serving config.

    - name: default                       # the model
      route_prefix: /default
      import_path: velum_serve.app:build
      args: {model: default, packs: [...], classes: [...], ...}      # velum_serve.arguments
      deployments:
        - name: Anonymizer
          ray_actor_options: {num_cpus: 1.0, num_gpus: 0.0}
          max_ongoing_requests: 8
          user_config: {max_replicas: 1, target_ongoing: 2}           # likewise; tells replicas that run, too
          autoscaling_config:
            {min_replicas: 0, initial_replicas: 1, max_replicas: 1, target_ongoing_requests: 2,
             upscale_delay_s: 1, downscale_delay_s: 300, metrics_interval_s: 1, look_back_period_s: 5}

Three things about Ray 2.60's autoscaler that its reference does not tell. `initial_replicas: 1` with `min_replicas: 0`
works: the first order finds a replica, and idleness still takes it away. `metrics_interval_s` is called deprecated, but
it is what Serve goes by (the environment variables that are to replace it are read nowhere yet): load is reported that
often, so with the default of 10 s an order that meets zero replicas waits up to 10 s before one is started. Measured
from order to answer: 15.6 s with Ray's defaults, 9.2 s with a short look-back alone, 3.5 s with the values above, of
which the replica's start is 2.2. And `look_back_period_s` must be longer than `metrics_interval_s`.

`build` runs once in a process of its own, before any replica: what is wrong with the arguments or the packs is found
there, so that the application fails at once with that text instead of after rounds of replica restarts.

A request without Ray's token is answered 401 before anything else (`velum_serve.admission`); Serve's own paths
(`/-/healthz`, `/-/routes`) are its proxies', who ask for none.

When a client hangs up, Serve cancels the request's asyncio task; the attempt then writes nothing more
(`velum_serve.folder`).

Replicas ask each other to work on runs of a video's segments through the deployment's own handle, as a streaming call
(`velum_serve.videos.coordinator`): its first word says that a replica has begun, which Serve does not tell otherwise.
"""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from velum_serve.admission import refusal
from velum_serve.answering import Document
from velum_serve.arguments import ReplicaArguments, ReplicaScale
from velum_serve.batching import Item
from velum_serve.replica import Batch, BatchedCall, Replica

CONSTRUCTOR_TRIES = 3
"""A weights file on a shared folder may be late; Serve's default of 20 tries hides a real error for minutes."""

SHUTDOWN_SECONDS = 20.0
"""How long a replica that is taken away may finish what it has."""


class Anonymizer:
    """One replica. Its arguments are those that `build` was given."""

    def __init__(self, args: dict[str, Any]) -> None:
        arguments = ReplicaArguments.parse(args)
        resources = ray.get_runtime_context().get_assigned_resources()
        self._replica = Replica(
            arguments,
            _batched(arguments.batch_size, arguments.batch_wait_seconds),
            cpus=max(1, math.ceil(resources.get("CPU", 1.0))),
            provider="cuda" if resources.get("GPU", 0.0) > 0 else "cpu",
            offer=_offer,
        )

    def reconfigure(self, scale: dict[str, Any]) -> None:
        """Take in how the model scales: Serve calls it before the first request, and when `user_config` changes."""
        self._replica.scale(ReplicaScale.parse(scale))

    async def __call__(self, request: Request) -> Response:
        """Answer one HTTP request."""
        if (refused := refusal(request)) is not None:
            return refused
        path = request.scope["path"].removeprefix(request.scope.get("root_path", "").rstrip("/"))
        status, answer = await self._replica.answer(request.method, path, request.body)
        return JSONResponse(answer, status) if isinstance(answer, dict) else _Lines(answer)

    async def run_segments(self, order: Document) -> AsyncGenerator[Document, None]:
        """Work on a run of another replica's video."""
        async with aclosing(self._replica.run_segments(order)) as events:
            async for event in events:
                yield event

    def check_health(self) -> None:
        """Raise when this replica should be replaced; Serve asks every ten seconds."""
        self._replica.check()


class _Lines(StreamingResponse):
    """Documents as they come, one a line. Whatever ends the response ends what makes them."""

    media_type = "application/x-ndjson"

    def __init__(self, documents: AsyncGenerator[Document, None]) -> None:
        super().__init__(_lines(documents))
        self._documents = documents

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._documents):
            await super().stream_response(send)


async def _lines(documents: AsyncIterator[Document]) -> AsyncIterator[bytes]:
    async for document in documents:
        yield json.dumps(document).encode() + b"\n"


async def _offer(order: Document) -> AsyncGenerator[Document, None]:
    """Have a replica work on a run: whichever Serve's router finds, perhaps this one. Closing it cancels the call."""
    context = serve.get_replica_context()
    handle = serve.get_deployment_handle(context.deployment, context.app_name)
    response = handle.options(stream=True).run_segments.remote(order)
    try:
        async for event in response:
            yield event
    finally:
        response.cancel()


def build(args: dict[str, Any]) -> serve.Application:
    """Return the application. Raises ArgumentInvalid, PackError or ClassNotFound when it could not work."""
    ReplicaArguments.parse(args).registry()
    return DEPLOYMENT.bind(args)


def _batched(size: int, wait_seconds: float) -> Any:
    def decorate(batch: Batch) -> BatchedCall:
        async def together(items: list[Item]) -> Any:
            return await batch(items)

        call: BatchedCall = serve.batch(max_batch_size=size, batch_wait_timeout_s=wait_seconds)(together)
        return call

    return decorate


DEPLOYMENT = serve.deployment(
    name="Anonymizer",
    max_constructor_retry_count=CONSTRUCTOR_TRIES,
    graceful_shutdown_timeout_s=SHUTDOWN_SECONDS,
)(Anonymizer)
