"""Calls of webhooks: one call per request, no retries here. `velum.tasks.afterwards` decides when the next one is due
and keeps the count in the task's status, which is how retries survive a restart.

The address is checked when the connection is made (`velum.net`), redirects are not followed, and the answer's body is
not read: a receiver learns nothing about our network and cannot make us buffer anything.

With a signing secret the call carries the headers of Standard Webhooks (standardwebhooks.com, specification 1.0). The
id is the same at every try, so that a receiver can drop what it has seen already.
"""

import json
from typing import Protocol, Self

import aiohttp
from standardwebhooks import Webhook

from velum.api.task import AnonymizationTask
from velum.api.v1 import task_document
from velum.clock import Clock
from velum.errors import ForbiddenTarget, NotFound
from velum.net import check_url, guarded_session
from velum.net.headers import refused_header
from velum.settings import WebhookSettings
from velum.tasks.store import TaskStore

USER_AGENT = "velum-webhook/1"


class Deliverer(Protocol):
    """Calls webhooks."""

    async def deliver(self, task: AnonymizationTask) -> str:
        """Call the task's webhook once; return "" or why it did not succeed. Raises Unavailable for the store."""
        ...


class WebhookDeliverer:
    """Calls webhooks over HTTP. Use as an async context manager."""

    def __init__(self, store: TaskStore, settings: WebhookSettings, endpoint: str, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._endpoint = endpoint.rstrip("/")
        self._clock = clock
        self._signer = Webhook(settings.secret.get_secret_value()) if settings.secret is not None else None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = guarded_session(
            allow_private=self._settings.allow_private, timeout_seconds=self._settings.timeout_seconds
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, task: AnonymizationTask) -> str:
        """Call the task's webhook once; return "" or why it did not succeed. The text never holds the secret."""
        if task.spec.webhook is None:
            return ""
        if self._session is None:
            return "the controller is shutting down"
        try:
            header = await self._store.header(task)
        except NotFound as error:
            return str(error)
        body = json.dumps(task_document(task, self._endpoint), separators=(",", ":")).encode()
        headers = self._signed(task, body)
        if header is not None:
            if refused := refused_header(header.name, header.value):
                return f"the secret's {refused}"
            headers[header.name] = header.value
        return await self._call(self._session, task.spec.webhook.url, body, headers)

    async def _call(self, session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> str:
        try:
            await check_url(url, allow_private=self._settings.allow_private)
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    return ""
                if 300 <= response.status < 400:
                    return f"answered {response.status}; redirects are not followed"
                return f"answered {response.status}"
        except ForbiddenTarget as error:
            return f"refused: {error.why}"
        except TimeoutError:
            return f"no answer within {self._settings.timeout_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"

    def _signed(self, task: AnonymizationTask, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
        if self._signer is None:
            return headers
        message, now = f"msg_{task.metadata.uid}", self._clock.now()
        return headers | {
            "webhook-id": message,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message, now, body.decode()),
        }
