"""Leadership by a Lease (coordination.k8s.io/v1), so that two operators do not do the same work twice.

Kopf has no leader election that we could use. The protocol is client-go's: the holder renews the lease every few
seconds; who wants it waits until it has not changed for its whole duration, measured on the waiter's own monotonic
clock, so that clocks need not agree; every write names the resource version it saw, so that one of two takers wins.

One thing differs from client-go, on purpose: a leader that cannot reach the API server does not step down. It could
write nothing anyway (and the fence of attempts does not rest on the lease but on resource versions), while stepping
down would cancel every picture that is being worked on each time the API server restarts. It steps down when it sees
that somebody else holds the lease.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from velum.api.meta import rfc3339
from velum.clock import Clock
from velum.errors import AlreadyExists, Conflict, NotFound, Unavailable
from velum.tasks.kubernetes.collection import Collection, Json
from velum_operator.errors import LeadershipLost

log = logging.getLogger(__name__)

NAME = "velum-operator"
"""The lease's name; one operator works per namespace, and the lease lives in it."""

DURATION_SECONDS = 15
"""After this long without renewal the lease is free. client-go's default."""

RENEW_SECONDS = 5.0
"""Between renewals: two may fail before anybody else may take the lease."""

RETRY_SECONDS = 2.0
"""Between looks of those who wait. client-go's default."""

JITTER = 0.2
"""Share by which waits differ, so that waiters do not all look at one moment."""


def lease_collection(client: Any, namespace: str) -> Collection:
    """Return the leases of a namespace."""
    api = "/apis/coordination.k8s.io/v1"
    return Collection(client, api=api, resource="leases", kind="lease", namespace=namespace)


class Leadership:
    """One candidate."""

    def __init__(self, leases: Collection, identity: str, clock: Clock) -> None:
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._lease: Json | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self.renewed: Callable[[str], None] = lambda _: None
        """Called with the lease's resource version after each renewal."""

    @property
    def uid(self) -> str:
        """The uid of the lease, "" before it was seen. It names this installation among those of all clusters, and
        needs no right that we do not have anyway."""
        return str((self._lease or {}).get("metadata", {}).get("uid") or "")

    async def acquire(self) -> None:
        """Return when the lease is ours."""
        said = False
        while True:
            try:
                if await self._try():
                    log.info("%s leads", self._identity)
                    return
                if not said:
                    log.info("%s waits: %s leads", self._identity, self._holder())
                    said = True
            except (Conflict, AlreadyExists):
                pass  # somebody was faster; look again
            except Unavailable as error:
                log.warning("lease %s: %s", NAME, error)
            await asyncio.sleep(_jittered(RETRY_SECONDS))

    async def hold(self) -> None:
        """Renew the lease until somebody else has it. Raises LeadershipLost then."""
        while True:
            await asyncio.sleep(_jittered(RENEW_SECONDS))
            try:
                if not await self._renew():
                    raise LeadershipLost(f"{self._holder()} holds the lease {NAME} now")
            except Conflict:
                continue  # changed by a hand or by a successor: the next look tells
            except Unavailable as error:
                log.warning("lease %s: %s", NAME, error)

    async def release(self) -> None:
        """Let the next one lead at once. Best effort: if this fails, it has to wait for the lease to run out."""
        if self._lease is None or self._holder() != self._identity:
            return
        spec = {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._leases.replace(NAME, {**self._lease, "spec": spec})
        except (Conflict, NotFound, Unavailable) as error:
            log.info("lease %s was not released: %s", NAME, error)
        self._lease = None

    async def _try(self) -> bool:
        try:
            self._look(await self._leases.get(NAME))
        except NotFound:
            self._took(await self._leases.create(self._body({}, 0)))
            return True
        if not self._free():
            return False
        await self._write(transition=True)
        return True

    async def _renew(self) -> bool:
        try:
            self._look(await self._leases.get(NAME))
        except NotFound:
            self._took(await self._leases.create(self._body({}, 0)))
            return True
        if self._holder() not in {"", self._identity}:
            return False
        await self._write(transition=False)
        return True

    async def _write(self, *, transition: bool) -> None:
        old = self._lease or {}
        count = int(old.get("spec", {}).get("leaseTransitions") or 0) + transition
        self._took(await self._leases.replace(NAME, self._body(old, count)))

    def _body(self, old: Json, transitions: int) -> Json:
        now = rfc3339(self._clock.now())
        since = old.get("spec", {}).get("acquireTime") if self._holder() == self._identity else None
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": old.get("metadata", {"name": NAME}),
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": since or now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    def _look(self, lease: Json) -> None:
        self._lease = lease
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())

    def _took(self, lease: Json) -> None:
        self._look(lease)
        self.renewed(lease["metadata"]["resourceVersion"])

    def _free(self) -> bool:
        if self._holder() in {"", self._identity}:
            return True
        duration = float((self._lease or {})["spec"].get("leaseDurationSeconds") or DURATION_SECONDS)
        return time.monotonic() - self._seen[1] > duration

    def _holder(self) -> str:
        return str((self._lease or {}).get("spec", {}).get("holderIdentity") or "")


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter, not a secret
