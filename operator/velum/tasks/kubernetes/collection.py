"""One kind of resource, in one namespace as a rule, as plain JSON over the official client's connection.

The client's generated methods turn every answer into model objects and back; on the path of each task that costs more
than the request. So this uses the client for what is hard to get right (TLS, credentials and their renewal, proxies,
the connection pool) and speaks JSON itself.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from velum.errors import Unavailable
from velum.tasks.kubernetes.refusals import OUR_TYPES, PART, Request, refusal

Json = dict[str, Any]

ANSWER_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
"""An API server that needs longer than this for one object is not available."""

STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=150)
"""Bookmarks come about every minute: a watch that is silent for longer hangs on a dead connection."""

PATIENCE_S = 15.0
"""How long one request is made again to a server that turned it away and said when to come back."""

JITTER = 0.5
"""Share by which a pause is longer than asked for, at most: requests that were turned away together come back apart."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"


class Collection:
    """Objects of one kind. Methods raise the errors of `refusals`, and Unavailable when nothing answers.

    A server that is busy, or has just learned a type, turns requests away before it looks at them (429, Retry-After):
    they are made again, as kubectl does, until `PATIENCE_S` have passed.
    """

    def __init__(
        self, client: Any, *, api: str, resource: str, kind: str, namespace: str, remedy: str = OUR_TYPES
    ) -> None:
        """`api`: as in `/apis/velum.dev/v1alpha1`. `resource`: the plural. `kind`: its name in our errors.
        `namespace`: empty for a kind that is in none. `remedy`: what to do when the server does not know the type."""
        self._client = client
        self._path = f"{api}/namespaces/{quote(namespace, safe='')}/{resource}" if namespace else f"{api}/{resource}"
        group = api.split("/")[2] if api.startswith("/apis/") else ""
        self._resource = f"{resource}.{group}" if group else resource
        self._kind = kind
        self._namespace = namespace
        self._remedy = remedy

    async def create(self, body: Json) -> Json:
        """Add an object. Raises AlreadyExists, InvalidInput."""
        return await self._call("create", "POST", "", body=body, name=str(body["metadata"]["name"]))

    async def get(self, name: str) -> Json:
        """Return the object. Raises NotFound."""
        return await self._call("get", "GET", self._item(name), name=name)

    async def replace(self, name: str, body: Json) -> Json:
        """Put the object in place of the one whose resource version it names. Raises NotFound, Conflict."""
        return await self._call("update", "PUT", self._item(name), body=body, name=name)

    async def patch(self, name: str, body: Json, *, subresource: str = "") -> Json:
        """Apply a JSON merge patch (RFC 7386). Raises NotFound, Conflict if it names another resource version."""
        path = self._item(name) + (f"/{subresource}" if subresource else "")
        return await self._call("patch", "PATCH", path, body=body, content=_MERGE, name=name, part=subresource)

    async def apply(self, name: str, body: Json, *, manager: str) -> Json:
        """Make the object be what the body says, and leave what it does not name (server-side apply, by force).

        Nothing is written when nothing would change. Raises InvalidInput.
        """
        query = {"fieldManager": manager, "force": "true"}
        return await self._call("patch", "PATCH", self._item(name), query=query, body=body, content=_APPLY, name=name)

    async def delete(self, name: str, *, uid: str | None = None) -> Json:
        """Ask for the object to go, if it has this uid. Raises NotFound, Conflict."""
        body: Json = {"preconditions": {"uid": uid}} if uid else {}
        return await self._call("delete", "DELETE", self._item(name), body=body, name=name)

    async def page(self, query: Mapping[str, str | int], *, accept: str = _JSON) -> Json:
        """Return a list object. Raises Expired for an old continue token."""
        return await self._call("list", "GET", "", query=query, accept=accept)

    async def stream(self, query: Mapping[str, str | int]) -> AsyncGenerator[list[Json], None]:
        """Yield the events of a watch, as many at a time as have arrived. Raises Expired."""
        request = self._request("watch")
        try:
            answer = await self._send("GET", "", query, None, {}, STREAM_TIMEOUT)
            try:
                if answer.status != 200:
                    raise refusal(request, answer.status, await answer.read())
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    yield [json.loads(line) for line in lines if line]
            finally:
                _hang_up(answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(error) from error
        except ValueError as error:
            raise Unavailable(PART, f"the watch of {self._resource} sent what is no JSON: {error}") from error

    async def _call(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json | None = None,
        content: str = _JSON,
        accept: str = _JSON,
        name: str = "",
        part: str = "",
    ) -> Json:
        headers = {"Content-Type": content, "Accept": accept}
        try:
            answer = await self._send(method, path, query or {}, body, headers, ANSWER_TIMEOUT)
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(error) from error
        if not 200 <= answer.status < 300:
            raise refusal(self._request(verb, name, part), answer.status, data)
        try:
            parsed: Json = json.loads(data)
        except ValueError as error:
            raise Unavailable(PART, f"the answer to {verb} {self._resource} is no JSON: {error}") from error
        return parsed

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Json | None,
        headers: dict[str, str],
        limits: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        url = f"{self._client.configuration.host}{self._path}{path}"
        if query:
            url += "?" + urlencode(query)
        headers = {**self._client.default_headers, **headers}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        end = time.monotonic() + PATIENCE_S
        while True:
            answer = await self._client.rest_client.request(
                method, url, headers=dict(headers), body=body, _request_timeout=limits
            )
            response: aiohttp.ClientResponse = answer.response
            pause = _turned_away(response)
            if pause is None or time.monotonic() + pause > end:
                return response
            await response.read()  # its connection is used again
            await asyncio.sleep(pause)

    def _item(self, name: str) -> str:
        return "/" + quote(name, safe="")

    def _request(self, verb: str, name: str = "", part: str = "") -> Request:
        resource = f"{self._resource}/{part}" if part else self._resource
        return Request(verb, self._kind, resource, self._namespace, name, self._remedy)


def _turned_away(answer: aiohttp.ClientResponse) -> float | None:
    """Return in how many seconds the request may be made again if it was not looked at at all, else None."""
    after = answer.headers.get("Retry-After", "")
    if answer.status != 429 or not after.isdecimal():
        return None
    return float(after) * random.uniform(1, 1 + JITTER)  # noqa: S311 - jitter, not a secret


def _hang_up(answer: aiohttp.ClientResponse) -> None:
    """Drop the connection of a stream. A polite TLS goodbye would wait for a server that is busy talking to us."""
    transport = answer.connection.transport if answer.connection is not None else None
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    answer.close()


def _unreachable(error: Exception) -> Unavailable:
    return Unavailable(PART, str(error) or type(error).__name__)
